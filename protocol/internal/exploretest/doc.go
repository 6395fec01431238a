// Package exploretest carries out every schedule of the protocol, with the real device
// and the real server, and looks for one in which a claim does not hold. Only tests
// import it.
//
// # Method
//
// A moment is the device's storage, the server's store, a call of the device's that waits
// for an answer, the requests and answers under way, and the time. From each moment, all
// that can happen next is carried out: an operation of the owner's, a request that
// arrives at a node, an answer that the device hears, a save or a write before or after
// which a process crashes, or which fails, or is said to fail; time that passes, keys
// that are rolled out, a thief who copies and acts. A request that was sent may arrive at
// any later time, any number of times: so loss, delay, repetition and overtaking need no
// steps of their own, and are not counted. The search is breadth first, over moments that
// differ.
//
// Nothing is replaced by a model. Each step runs package device or package server on the
// bytes of the moment, and parses what they leave. What they draw is decided by a seed
// for each call (testing/cryptotest). A crash is a panic in a save or a write; what was
// stored at that point is kept aside, since a panic runs deferred calls. A call that
// waits is not a goroutine: it ended when it had sent its request, and is run again from
// its beginning with the answers that it has heard. So a step is a function of its input,
// and is run once for each (runs, served).
//
// # Equal moments
//
// Tokens, chains, hashes and keys are random to the code: it compares them, and does
// nothing else with them. Two moments are taken for one if they differ only in the names
// of these values, in where the numbers of requests begin, or by how long something is
// over (canon.go). So the moments of an owner who goes on for ever are finite in number,
// and scopes without Operations hold for any number of operations. A chain is written as
// what was settled since the latest one that all chains in the moment come from.
//
// What is left out is in moment.tidy: answers that open nothing any more; requests of
// which Scope.Window later ones were settled (0 keeps all); all but one of several
// Cancels that differ in their challenge.
//
// # Claims
//
// Sections 5 to 7 of docs/scheme.md, section 8 of docs/protocol.md and row 1 of
// docs/threats.md, as assertions, on each step of a server's (claims.go), each of the
// device's (heard.go), each moment (claims.go, calm.go) and on what a thief gets
// (heist.go). Among them: no more wrong PINs are answered than the policy has tries; a
// request is counted once; the verdict that leaves is stored; an owner without a copy is
// never called a clone; the owner hears what is so; a signature that was counted can be
// had again; from every moment a network that is fair ends in a signature, with both
// sides in step; a thief is told of no more wrong PINs than docs/protocol.md, section 9,
// says, and of so many in some schedule; the owner's next requests after a guess end the
// key.
//
// # Trust
//
// That the claims are written down rightly; that seeds do not hide what randomness would
// show; that the canonical form drops nothing that matters; that SHA-256 does not
// collide. Against mistakes in these there are planted faults (faults.go): changes of the
// device and the server, each of which must be found.
//
// A schedule that breaks a claim is printed as a test: [Play] carries it out.
package exploretest

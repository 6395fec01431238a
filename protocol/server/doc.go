// Package server is the service's half of the protocol. Three things matter first:
//
//   - [New] makes a [Server] of a [Config]: its store, its policy for wrong PINs, its
//     keys. Any number of servers with the same ones may work side by side.
//   - [Server.Handle] takes the bytes that devices send, and is the only input from
//     outside.
//   - [Server.ChallengeEnroll] and [Server.ChallengeSignAll] make the challenges that the
//     service hands out, to a user whom it has identified.
//
// [Sealer] and [KeySource] are where an HSM comes in; [SoftwareSealer] and [KeyPool] do
// without. [AuditSink] keeps what happened, outside of the store.
//
// # Setting up
//
// A [Config] must have a Store, a Policy, a Sealer, an HPKE.Current and a ChallengeKey.
// The rest may be left out.
//
// The Store may be service/stores/bolt, of the module
// github.com/tandem-rsa/tandem/service: one file, for a service on one machine. Package
// pinlock/limiter/storetest holds a store of your own to the contract; its MemoryStore is
// for tests.
//
// The two keys are made once, kept secret, and the same on all nodes:
//
//	private, err := hpke.MLKEM768X25519().GenerateKey() // HPKE.Current; keep its Bytes
//	rand.Read(challengeKey)                             // crypto/rand, 32 bytes
//
// # Sweeping
//
// Once an hour, one node goes through the ids of the store (limiter.IDs), takes those of
// which [KeyOfRecord] finds the key, and calls [Server.Expire] and [Server.DeliverEvents]
// for it; and, once after the sealing key was rotated and before the old one is thrown
// away, [Server.Reseal]. docs/operating.md has the loop.
//
// # Security
//
// Everything that counts is durable in the store when Handle returns. A store that goes
// back in time gives wrong PINs back, and destroyed keys (docs/operating.md). See package
// protocol for what the two parties achieve together, and docs/threats.md for what a
// thief of each part gets. The share that was opened for a request, and what it made of
// the partial signatures, are wiped when Handle returns, whatever came of them.
//
// # Timing
//
// MACs and tokens are compared in constant time. Whether a key id is known shows only as
// far as the store's own time does; a right PIN shows by the operation of the server's
// own key that follows it.
package server

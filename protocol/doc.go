// Package protocol is what a phone and a server say to each other, so that a key of package splitkey, behind a
// PIN of package pinlock, makes signatures over a network that loses, repeats and reorders, with processes that
// crash, eavesdroppers that record, and phones that get copied.
//
// The service has a [Server]: it gives [Server.Handle] the bytes that devices send, and asks it for the
// challenges that it hands out with its transactions. The phone has a [Device]: [Device.Enroll], [Device.Confirm],
// [Device.SignAll], [Device.Resume], [Device.Cancel]. How bytes travel is the caller's affair: a [Transport] on the phone, any handler in the service.
//
// docs/protocol.md has each message, what each side checks in which order, and the proofs; docs/scheme.md, sections 5
// to 9, what is required of them.
//
// # Security
//
//   - A request is encrypted to the server with HPKE (RFC 9180) under MLKEM768-X25519, beneath TLS: a recorded
//     partial signature, which is a test for PINs, stays closed to whoever breaks TLS or, later, X25519.
//   - The server answers nobody but the holder of the key K_dev that an enrolment agreed on: [ErrRefused] is all that
//     anybody else gets, the same for each key and each malformed input.
//   - No answer about a PIN leaves before it is counted in the same durable write that settles the request.
//   - A request that was settled once is never settled again, whoever sends it and when: nothing is counted
//     twice, and a replay raises no alarm.
//   - Of two copies of a device's state, the one that comes second after a settled request is found
//     out, and the key is dead. An honest device is never taken for a copy, whatever the network and the
//     clocks do. Restoring an old state from a backup is making a copy.
//   - With a key of the phone's hardware ([HardwareKey]) a copy of the storage gets no answer at all.
//   - A signature is verified by the server before it leaves, and by the device before it is returned.
//   - Whoever gets a challenge for an enrolment can enrol a key: that it is the right person is for the service to know.
//
// What trusts what: the device trusts the server's HPKE key, which the app is shipped with or a key document
// names, to say what became of a request and which final key is its own; a server that lies can refuse, and cannot sign. The server trusts its [Sealer], its [KeySource] and above all
// its [limiter.Store]. Neither trusts the [Transport].
//
// # Timing
//
// Comparisons of MACs and tokens take constant time, and what happens to shares is as in packages splitkey and pinlock. What may
// show: the operation, how long the store takes to find a key id or nothing (what follows is done with a key of
// nobody's where there is none), and the verdict: answers differ in length, and only a right PIN is followed by an operation
// of the server's own key. Both show to whoever sees the encrypted traffic. How long Device methods take tells nothing about the PIN.
package protocol

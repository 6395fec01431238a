// Package protocol has what a phone and a server share, so that a key of package
// splitkey, behind a PIN of package pinlock, makes signatures over a network that loses,
// repeats and reorders, with processes that crash, eavesdroppers that record, and phones
// that get copied: the names of keys and operations, verification codes, sizes and
// errors.
//
// The parties are packages of their own: protocol/device for the phone, protocol/server
// for the service. How bytes travel between them is the caller's affair.
//
// docs/protocol.md has each message, what each side checks in which order, and the
// proofs; docs/scheme.md, sections 5 to 9, what is required of them.
//
// # Security
//
//   - A request is encrypted to the server with HPKE (RFC 9180) under MLKEM768-X25519,
//     beneath TLS: a recorded partial signature, which is a test for PINs, stays closed
//     to whoever breaks TLS or, later, X25519.
//   - The server answers nobody but the holder of the key K_dev that an enrolment agreed
//     on. Everybody else gets one refusal, the same for each key and each malformed
//     input.
//   - No answer about a PIN leaves before it is counted in the same durable write that
//     settles the request.
//   - A request that was settled once is never settled again, whoever sends it and when:
//     nothing is counted twice, and a replay raises no alarm.
//   - Of two copies of a device's storage, the one that comes second after a settled
//     request is found out, and the key is dead. An honest device is never taken for a
//     copy, whatever the network and the clocks do. Restoring an old value from a backup
//     is making a copy.
//   - With a key of the phone's hardware a copy of the storage gets no answer at all.
//   - A signature is verified by the server before it leaves, and by the device before it
//     is returned.
//   - Whoever gets a challenge for an enrolment can enrol a key: that it is the right
//     person is for the service to know.
//
// What trusts what: the device trusts the server's HPKE key, which the app is shipped
// with or a key document names, to say what became of a request and which final key is
// its own; a server that lies can refuse, and cannot sign. The server trusts its sealer,
// its source of keys and above all its store. Neither trusts what carries the bytes.
//
// # Timing
//
// Comparisons of MACs and tokens take constant time, and what happens to shares is as in
// packages splitkey and pinlock. What may show: the operation, how long the store takes
// to find a key id or nothing (what follows is done with a key of nobody's where there is
// none), and the verdict: answers differ in length, and only a right PIN is followed by
// an operation of the server's own key. Both show to whoever sees the encrypted traffic.
// How long the device takes tells nothing about the PIN.
package protocol

// Package protocol has what a phone and a server share, so that a key of package
// splitkey, behind a PIN of package pinlock, makes signatures over a network that loses,
// repeats and reorders, with processes that crash, eavesdroppers that record, and phones
// that get copied: the names of keys and operations, verification codes, sizes and
// errors.
//
// The parties are packages of their own: protocol/device for the phone, protocol/server
// for the service. The caller moves the bytes between them:
//
//	service                            app
//	id, c := ChallengeEnroll()    -->  Enroll(c, PIN): makes and splits a key
//	Handle(request)               <->  Config.Transport
//	c := Challenge(id)            -->  Confirm(c, PIN): proves the key and the PIN
//	Handle(request)               <->  Config.Transport
//
//	c := ChallengeSign(id, digest) ->  Sign(c, digest, PIN): half a signature
//	Handle(request): checks it,   <->  Config.Transport
//	counts, joins, gives it to
//	Signed and to the device           verifies the signature, and returns it
//
// docs/protocol.md has each message, each side's checks in their order, and the proofs;
// docs/scheme.md, sections 5 to 9, says what is required of them.
//
// # Security
//
//   - A request is encrypted to the server with HPKE (RFC 9180) under MLKEM768-X25519,
//     beneath TLS: a recorded partial signature, which is a test of PINs, stays closed to
//     whoever breaks TLS or, later, X25519.
//   - The server answers only the holder of K_dev, the authentication key that an
//     enrolment agreed on. Everybody else gets one refusal, the same for each key and
//     each malformed input.
//   - An answer about a PIN leaves only after the durable write that counts the PIN and
//     settles the request.
//   - A request that was settled once is never settled again, whoever sends it and when:
//     nothing is counted twice, and a replay raises no alarm.
//   - If a device's storage is copied, the copy that comes second after a settled request
//     is found out, and the key is destroyed. An honest device is never taken for a copy,
//     whatever the network and the clocks do. Whoever restores an old value from a backup
//     makes a copy.
//   - With a key of the phone's hardware a copy of the storage gets no answer at all.
//   - A signature is verified by the server before it leaves, and by the device before it
//     is returned.
//   - Whoever gets a challenge for an enrolment can enrol a key. The service must know
//     that it is the right person.
//
// Section 12 of docs/scheme.md says what trusts what.
//
// # Timing
//
// Comparisons of MACs and tokens take constant time, and shares are handled as in
// packages splitkey and pinlock. These may show: the operation; how long the store takes
// to find a key id or nothing (an unknown id is then handled with a dummy key); and the
// verdict, since answers differ in length, and only a right PIN is followed by an
// operation of the server key. Whoever sees the encrypted traffic sees both. How long the
// device takes tells nothing about a PIN that is well formed.
package protocol

// Package splitkey splits an RSA private key between a client and a server, so that each
// can make half a signature and neither can make a whole one. What the two halves make
// together is an ordinary RSA signature (RFC 8017) that every verifier accepts.
//
//   - [GenerateKey] makes a key and deals its two shares. ([Split] does so for a key that
//     exists.)
//   - A [ClientShare] makes partial signatures.
//   - A [Completer] is the server's share at work: it checks a partial signature, and
//     finishes it.
//
// The final key is the client key (n1, e) itself or, where the server has a server key
// (n2, e), an [RSAKey], the composite key (n1*n2, e), for which no whole private exponent
// has ever existed. Both parties encode the digest for a [FinalKey], which the client
// makes with [CheckFinalKey]: the result is a [Message].
//
// The sharing is [Multiplicative], d = d_c * d_s, or [Additive], d = d_c + d_s, modulo
// lambda = lcm(p-1, q-1). docs/scheme.md has the mathematics, section by section; A.
// Buldas, A. Kalu, P. Laud, M. Oruaas, "Server-Supported RSA Signatures for Mobile
// Devices", ESORICS 2017, the idea.
//
// Most programs want package protocol, which adds the PIN, the attempt limit and the
// messages; they use this package for its types only.
//
// All methods but Wipe may be called from many goroutines at once.
//
// # Security
//
//   - A result is verified once, by the one who releases it: [Completer.Check] verifies
//     the partial signature, [Completer.Finish] the server key's result and then the
//     whole signature, with crypto/rsa. A fault in a computation with the primes of a key
//     would otherwise give them away (D. Boneh, R. DeMillo, R. Lipton, EUROCRYPT 1997).
//   - [ErrPartial] is the only error that depends on a secret.
//   - Whoever has the client's share and the server's share of a key has the key. Protect
//     the server's share although it is uniformly random: with a locked client's share it
//     is a test of PINs, and in [Additive] sharing a few bits of it are.
//   - A partial signature y and the digest it belongs to let whoever also holds a
//     PIN-locked share test PINs. Never log, store or send y in the clear.
//   - The client's share is 8 bytes longer than the modulus; the server's is as long as
//     the modulus, and below lambda. Neither is ever shortened, or derived from a PIN.
//
// # FIPS 140-3
//
// This package is not a validated module. It works with GODEBUG=fips140=on and =only.
// With the latter it refuses, with [ErrFIPS], keys and salts that crypto/rsa does not
// verify in that mode: docs/operating.md lists them.
//
// # Timing
//
// The time of whatever touches a share, an unchecked partial signature or the primes of a
// [SoftwareKey] does not depend on their values. These may show: sizes, moduli, public
// exponents, digests, and whether a partial signature was right. [GenerateKey] and
// [Split] are exceptions, which run once, where the key is made: their prime search
// varies with the candidates that it rejects, and the test of an existing key's primes
// with the powers of two in p-1.
package splitkey

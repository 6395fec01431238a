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
// # Security
//
//   - A number is verified once, by the one who releases it: [Completer.Check] proves the
//     partial signature, [Completer.Finish] a server key's result and then the whole
//     signature with crypto/rsa. A fault in a computation with the primes of a key would
//     otherwise give them away (D. Boneh, R. DeMillo, R. Lipton, EUROCRYPT 1997).
//   - [ErrPartial] is the only error that depends on a secret.
//   - The holder of a client's share and the server's share of one key knows that key.
//     The server's share is worth protecting even though it is uniformly random: with a
//     locked client's share it tests PINs, and in [Additive] sharing a few bits of it do.
//   - A partial signature y and the digest it belongs to let whoever also holds a
//     PIN-locked share test PINs. Never log, store or send y in the clear.
//   - Shares are as long as lambda, always reduced, never shortened, never derived from a
//     PIN.
//
// # FIPS 140-3
//
// This package is no validated module. It works with GODEBUG=fips140=on and =only; with
// the latter it refuses, with [ErrFIPS], the keys and salts that crypto/rsa does not
// verify then: docs/operating.md has the list.
//
// # Timing
//
// Whatever touches a share, a partial signature before it is checked, or the primes of a
// [SoftwareKey] runs in a time that does not depend on their values. What may show:
// sizes, moduli, public exponents, digests, whether a partial signature was right.
// Exceptions: [GenerateKey] and [Split] run once, where the key is made. Their prime
// search varies with the candidates that it rejects, and the test of an existing key's
// primes with the powers of two in p-1.
package splitkey

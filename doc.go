// Package tandem is the root of a split-key RSA library: a private key that
// exists only as two halves, one on a device behind a PIN, one on a server
// that counts wrong PINs. It exports nothing; the code is in its
// subdirectories, each depending on those before it only:
//
//   - splitkey: the arithmetic. Splits a key, makes a partial signature with
//     one half, completes and verifies it with the other.
//   - pinlock: the device's half of the PIN, the lockbox that every PIN opens.
//   - pinlock/limiter: the server's half, which counts wrong PINs in a Store.
//   - protocol: what the two parties share. protocol/device and protocol/server are the
//     parties.
//   - hsm: the server key in a PKCS#11 token.
//
// Databases and the tandem command are in the nested module service, so that programs
// that import the library do not depend on them.
//
// A nil is an error everywhere and never a panic: a nil receiver, a zero value, a nil
// argument or context, and an interface value (a Store, an RSAKey, a Sealer) that holds a
// nil pointer. A method that returns no error then returns nothing: nil, zero, false.
//
// The specification is docs/scheme.md.
package tandem

// Package tandem is the root of a split-key RSA library: a private key that
// exists only as two halves, one on a device behind a PIN, one on a server
// that counts wrong PINs. It exports nothing; the code is in its
// subdirectories, each depending on those before it only:
//
//   - splitkey: the arithmetic. Splits a key, makes a partial signature with
//     one half, completes and verifies it with the other.
//   - pinlock: the device's half of the PIN, the lockbox that every PIN opens.
//   - pinlock/limiter: the server's half, which counts wrong PINs in a Store.
//   - protocol: what the two parties share; protocol/device and protocol/server, the
//     parties.
//   - hsm: the server's own key in a PKCS#11 token.
//
// Databases and the tandem command are in the nested module service, so that a
// program that imports the library does not depend on them.
//
// In all of them a nil is an error and never a panic: a method of a nil pointer or of a
// zero value, a nil argument, a nil context, and an interface value (a Store, an RSAKey,
// a Sealer) that holds a nil pointer are refused with an error. A method that returns
// none returns nothing: nil, zero, false.
//
// The specification is docs/scheme.md.
package tandem

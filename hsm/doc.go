// Package hsm keeps the server's secrets in a hardware security module, through PKCS #11
// (version 2.40 and later) and github.com/miekg/pkcs11. For whoever runs it: docs/hsm.md.
//
// [Open] logs in to a token and finds out what it can do. Then
//   - [Token.GenerateKey] and [Token.Key] give RSA keys that live in the token,
//   - [Token.ServerKeys] makes RSA keys for millions of users, which are stored
//     outside, wrapped under a key of the token,
//   - [Token.Sealer] encrypts the server's shares under keys that the token encrypts,
//   - [Token.SetData] and [Token.Data] keep a small value in the token.
//
// While the token is away, calls return [ErrUnavailable] at once; they work again when it
// is back.
//
// # Security
//
// Modules are not trusted to be right. Attributes of keys are read back. Every raw RSA
// result is checked against the public key before it is returned. Blobs are authenticated
// in this program before the module sees them. Inputs of wrong length or range never
// reach a module: they have ended processes and given wrong numbers.
//
// A module runs in this process and can read its memory, and a crash of the module is a
// crash of the process. What passes through C memory that nobody wipes is a PIN, the
// 32-byte key of a share, and signatures. What whoever can log in can do with the keys
// depends on the module: see docs/hsm.md and Capabilities.Guards.
//
// # Errors
//
// Every call that needs the token can return [ErrInput], [ErrUnavailable] (with the
// context's error if that ended the wait), [ErrUnsupported], [ErrFault], [ErrPIN] and
// [ErrClosed]. Comments name the others.
//
// # Timing
//
// The time of a private operation is the module's. What this package adds does not depend
// on the values of operands, results, plaintexts or keys, only on their lengths, on the
// public key and on whether an operand was in range.
package hsm

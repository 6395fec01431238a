// Package wire has what travels between a device and a server, and how it is encoded: the
// envelope of a request and its seal (HPKE), the plaintext of requests and enrolments,
// answers and their seal, challenges, and key documents. docs/protocol.md, sections 2 and
// 3, is its specification.
//
// Each parser takes exactly what its encoder writes; what it refuses wraps
// [protocol.ErrMalformed]. It says nothing of who made the bytes: whether a challenge, a
// MAC or a signature of hardware is authentic is asked separately.
//
// # Security
//
// Secrets are held where no printer reaches them; the partial signatures of a [Request]
// are hidden by its Format. What holds a partial signature or a share while it is encoded
// has room for all of it: a buffer that grows leaves what it had behind.
//
// # Timing
//
// MACs are compared in constant time. The time that parsing takes depends on lengths and
// counts, which the length of the ciphertext shows.
package wire

// Package ca gives certificates to persons' keys, and takes them back: a certification
// authority (RFC 5280) with its own root, lists of revoked certificates, and answers to
// OCSP requests (RFC 6960, RFC 9654).
//
//   - [New] makes an [Authority] from issuing CAs, a [Profile] and a [Store].
//   - [Authority.Issue] certifies a key that was enrolled. There is no PKCS #10 request:
//     the enrolment has shown that the person has the key.
//   - [Authority.Revoke] takes a certificate back. OCSP tells it from the next request
//     on, the node's CRL from its next download on, another node's within an hour.
//   - [Authority.Handler] serves OCSP, the CRLs and the certificates of the issuing CAs.
//   - [CreateFolder] and [OpenFolder] keep a root and issuing CAs in files, and
//     references to keys that are elsewhere. Any [crypto.Signer] serves; package
//     hsmsigner has that of a key in an HSM.
//   - [Issuer] is what the rest of a service needs. An Authority is one; a company that
//     issues certificates is another, behind an adapter.
//
// Several issuing CAs may be in use at once: the first issues, and the others go on with
// their CRLs and OCSP until their last certificate has expired. So an issuing CA is
// replaced without a gap.
//
// # Security
//
//   - Whoever has the key of an issuing CA, or of the root, makes certificates for
//     anybody. The root's key is needed for nothing but new issuing CAs: keep it
//     elsewhere.
//   - The store is trusted: what it says is revoked is revoked, and what it says was
//     issued was issued.
//   - A certificate is in the store before it leaves, so that each one can be revoked.
//     Its serial number has 128 random bits, and the store refuses to have it twice.
//   - OCSP answers are signed by a key that lives in memory for some days, with a
//     certificate of the issuing CA for this purpose only. The issuing CA's own key
//     signs certificates and CRLs, never what a stranger asked for.
//   - Nothing in a certificate claims more than the [Profile] says. [CompatProfile]
//     claims no qualified status.
//
// # Timing
//
// Nothing here computes with a secret by itself: keys are used through crypto/ecdsa,
// crypto/rsa and the caller's signers.
package ca

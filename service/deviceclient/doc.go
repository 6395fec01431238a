// Package deviceclient is a phone's end of package deviceapi.
//
//   - New makes a Phone of a Config: where the service is, the phone's token, and what
//     its two keys (package protocol/device) are stored in.
//   - Phone.Enrol makes an account with a registrar's code; Phone.Ask and Phone.Resume do
//     it in place of an old phone.
//   - Phone.Poll tells of a session that waits. Phone.Open opens it, or one whose device
//     link was scanned, as a Transaction: what to show, and Transaction.Sign.
//
// # Security
//
// What is shown is what is signed. A login of version 3 signs the relying party's name,
// the interactions and the flow: Open, or Choose after three codes, computes the digest
// anew from what the Transaction shows, and refuses any other ([ErrMismatch]). A
// verification code is recomputed from the digest or the challenge wherever it follows
// from one. The device then refuses a challenge that is not for this digest.
//
// In a signature, and in a login of versions 1 and 2, only a digest is signed: what the
// relying party says of it is not. A login of version 3 that is signed with PSS cannot be
// passed off as an older one, since these are signed with PKCS#1 v1.5; one with PKCS#1
// v1.5 could be.
//
// The service chooses what a phone is asked to sign. That is so with any such system: the
// person looks at the screen, and the PIN is needed for each signature.
//
// The token is a secret of the phone's, beside what the keys are stored in: it is not
// printed.
package deviceclient

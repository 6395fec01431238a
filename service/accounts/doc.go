// Package accounts knows persons, their accounts (one for each phone, with two keys), the
// relying parties, and how an account begins and ends.
//
//   - New makes an Accounts of a database, the protocol's server and a certification
//     authority.
//   - Accounts.Register is the registrar's: it gives the one-time code with which a
//     person enrols a phone. Accounts.Begin and Accounts.Finish are the phone's.
//   - Accounts.ByPerson, Accounts.ByDocument and Accounts.ByToken find accounts;
//     Accounts.RelyingParty finds who may ask for logins and signatures.
//
// # How an account begins
//
//	registrar           phone                              service
//	Register(person) -> code, on paper
//	                    Begin(code, token)             ->  two key ids, two challenges
//	                    device.Enroll, Confirm, twice  <-> protocol server
//	                    Finish(token)                  ->  certificates; the account is
//	                                                       active; its revocation code,
//	                                                       shown once
//
// The token is 32 random bytes that the phone draws: it authenticates the phone from then
// on. Each call may be repeated with the same token, after whatever failure, on any node:
// Begin gives new challenges where keys are missing, Finish goes on where it was cut off.
// [Accounts.Continue] is Begin for a phone that has begun.
//
// A new phone takes the place of an old one without the registrar:
//
//	new phone                  old phone                        service
//	Ask(token) -> a QR code
//	                           NewPhone(QR code)            ->  a digest, a challenge
//	                           device.Sign with the PIN     <-> protocol server
//	                           Approve(QR code, signature)
//	Continue(token), and so on as above; Finish ends the old phone's account
//
// The QR code shows SHA-256 of the new phone's token, and the old phone signs it with
// that phone's label and its own document number: nobody else's phone can be approved in
// its place. No key and no lockbox moves.
//
// Who forgot a PIN, or whose key is destroyed, is identified anew: Registration.Replaces
// names the accounts that end when the new one begins.
//
// # How an account ends
//
// [Accounts.End], [Accounts.EndByCode], its expiry, or a new account in its place. In one
// transaction the account ends, what [Accounts.OnEnd] is given does its part, and notice
// is given; from then on nobody can use it. Then its keys are destroyed in the server and
// its certificates revoked, and [Accounts.Sweep] does what a crash has left of that.
//
// # Security
//
//   - Whoever has a registrar's code before the person uses it gets the person's account.
//     A code has 60 random bits, is kept as an HMAC, works once and expires; tries are
//     limited.
//   - A device's token is kept as SHA-256 only. It lets its holder see the account and
//     take part in the protocol, and signs nothing: for that the phone's half of a key
//     and its PIN are needed.
//   - The database is trusted, and so are those who may call Register and End.
//   - Nothing here is logged but document numbers and key ids.
//
// # Timing
//
// Codes and tokens are looked up by their HMAC or hash, so the time of a look-up tells
// nothing about a code that is nearly right.
package accounts

// Package pinlock protects the client's share of a split key with a PIN of few digits. It
// is the device's half of the PIN; package limiter, the server's, counts wrong ones.
//
// [Lock] puts a share under a PIN that [CheckPIN] accepts and returns a [Lockbox];
// [Lockbox.Unlock] gives the share back to sign with. [Lockbox.Seal] and [OpenLockbox]
// store it under a storage key, [Lockbox.MarshalBinary] and [ParseLockbox] without one.
//
// A lockbox is the share, encrypted under a key that Argon2id derives from the PIN, and
// nothing more. A wrong PIN gives another share, as plausible as the right one. The
// device makes a partial signature with whatever it got, and only the server can tell
// whether that is right. So a thief of the device's storage has as many guesses as the
// server allows.
//
// # Security
//
// What the lockbox promises:
//
//   - There is no MAC, padding, checksum, length or format check under the PIN's key:
//     each would be an offline test of PINs. [Lockbox.Unlock] succeeds for every PIN of 4
//     to 12 digits.
//   - It opens to the uniform string x of package splitkey, for which every value is
//     valid. It does not open to an exponent: half of all wrong exponents would be even,
//     and most of them too large.
//   - Damage is found without the PIN, by the storage key's tag or the checksum, before
//     anybody is asked for a PIN: [ErrSealed] and [ErrLockbox]. A bad disk costs no
//     attempt.
//   - A file can ask for no more memory, time or threads than the caller allows.
//
// What it does not promise:
//
//   - A thief who holds a lockbox and also the server's share, or a partial signature in
//     the clear with its digest, can test PINs at the price of one Argon2id each. 10,000
//     of them are no obstacle. Argon2id is the last line, not the lock.
//   - Two lockboxes of one share are such a test too: a thief who finds both opens each
//     with every PIN (20,000 evaluations for 4 digits) and looks for two results that
//     agree, which gives him both PINs and the share. So when a PIN changes, the old
//     lockbox must go, from backups as well, although flash memory keeps what it was told
//     to overwrite. The remedy is [Lockbox.Seal] under a new storage key for each
//     lockbox: destroying the old key erases every copy of the old lockbox.
//   - A checksum is no authentication. An attacker who can write the device's storage can
//     replace a lockbox without a seal, or put an older one back. That costs the owner
//     attempts, and tells the attacker nothing.
//   - The PIN is only as good as its choice. [CheckPIN] refuses about an eighth of the
//     4-digit PINs; it does not know the owner's birthday.
//
// Only the server's answer may tell whether a PIN was right. Never store or log an opened
// share, a partial signature, or the PIN. Change a PIN only after the server verified a
// signature made with the old one: a mistyped old PIN would lock a wrong share for ever.
//
// Section 12 of docs/scheme.md says what trusts what. Without its storage key a sealed
// lockbox is lost.
//
// Keys, keystreams and opened shares are cleared after use. The working memory of
// x/crypto/argon2 and the states of its hash cannot be reached from here and are left to
// the garbage collector. The PIN and Argon2's first hash of it stay there until the
// memory is used again, unless the program is built with GOEXPERIMENT=runtimesecret
// (docs/assurance.md).
//
// # Timing
//
// The digits of a PIN decide values only: no branch and no index in this package, in
// ChaCha20 or in BLAKE2b depends on them. The one exception is Argon2id, which addresses
// memory by its data from the third quarter of its first pass on (RFC 9106, section
// 3.4.1.3). An attacker who watches the device's cache while a PIN is typed may use that
// to test PINs afterwards.
//
// May leak: the number of digits, whether a PIN has the right format, the rule that
// [CheckPIN] reports for a PIN that it refuses, and everything in a lockbox. [CheckPIN]
// takes the same time for every PIN of one length that it accepts.
//
// Lockboxes and parameters are public as far as timing goes: parsing them takes as long
// as their contents make it.
//
// # Cost
//
// [Lock] and [Lockbox.Unlock] allocate [Params].MemoryKiB each while they run, on
// Params.Threads goroutines. A program that unlocks concurrently must bound the number of
// calls itself; a Go program that runs out of memory cannot recover.
package pinlock

// Package pinlock protects a split key with a PIN of few digits: on the device by a
// [Lockbox], which every PIN opens, and on the server by a limiter, which alone
// can tell which PIN is right and counts how often it was asked.
//
// A lockbox is the client's share, encrypted under a key that Argon2id derives
// from the PIN, and nothing more. A wrong PIN gives another share, as plausible as
// the right one. The device makes a partial signature with whatever it got, and
// the server sees that it is wrong. So a thief of the device's storage cannot
// test PINs by himself: he has as many guesses as the server allows.
//
// The device: [CheckPIN] and [Lock] when a key or PIN is made; [Lockbox.Seal] and
// [OpenLockbox], or [Lockbox.MarshalBinary] and [ParseLockbox], to keep it;
// [Lockbox.Unlock] to sign. The server: a [Limiter] over a [Store], or [Update] with
// [Policy.Next] where a record holds more than the counter.
//
// # Security
//
// What the lockbox promises:
//
//   - There is no MAC, padding, checksum, length or format check under the PIN's
//     key: each would be an offline test of PINs. [Lockbox.Unlock] succeeds for every
//     PIN of 4 to 12 digits.
//   - What it opens to is the uniform string x of package splitkey, for which every
//     value is valid, and not an exponent: half of all wrong exponents would be
//     even, and most of them too large.
//   - Damage is found without the PIN, by the storage key's tag or the checksum,
//     before anybody is asked for a PIN: [ErrSealed] and [ErrLockbox]. No attempt is
//     lost to a bad disk.
//   - A file can ask for no more memory, time or threads than the caller allows.
//
// What it does not promise:
//
//   - Whoever holds a lockbox and also the server's share, or a partial signature
//     in the clear with the digest it belongs to, can test PINs at the price of one
//     Argon2id each; 10,000 of them are no obstacle. Argon2id is the last line, not
//     the lock.
//   - Two lockboxes of one share are such a test too: a thief who finds both opens
//     each with every PIN (20,000 evaluations for 4 digits) and looks for the two
//     results that agree, which gives him both PINs and the share. So when a PIN
//     changes the old lockbox must go, from backups as well; and flash memory keeps
//     what it was told to overwrite. The remedy is [Lockbox.Seal] under a new device
//     key for each lockbox: destroying the old key erases every copy of the old one.
//   - A checksum is no authentication. Whoever can write the device's storage can
//     replace a lockbox without a seal, or put an older one back, and so cost the owner attempts;
//     he learns nothing by it.
//   - The PIN is only as good as its choice. [CheckPIN] refuses about an eighth
//     of the 4-digit PINs; it does not know the owner's birthday.
//
// Never tell anybody but the server's answer whether a PIN was right, and never
// store or log an opened share, a partial signature, or the PIN. Change a PIN only
// after the server verified a signature made with the old one: a mistyped old PIN
// would lock a wrong share for ever.
//
// What trusts what: the device is trusted with the PIN while it is typed; an
// attacker who reads its memory then has the share. Its storage is *not* trusted to
// keep secrets, beyond what is said above. The storage key is trusted to be secret
// and lasting: without it a sealed lockbox is lost. The server is trusted to count
// before it answers, and its [Store] never to forget a count: an attacker who can
// roll it back gets tries back.
//
// Keys, keystreams and opened shares are cleared after use. The working memory of
// x/crypto/argon2 and the states of its hash are left to the garbage collector:
// they cannot be reached from here. With them stays the PIN itself, and Argon2's first hash of it,
// until the memory is used again, unless the program is built with GOEXPERIMENT=runtimesecret
// (docs/constant-time.md).
//
// # Timing
//
// The digits of a PIN decide nothing but values: no branch and no index in this
// package, ChaCha20 or BLAKE2b depends on them. The one exception is Argon2id: from
// the third quarter of its first pass on it addresses memory by its data (RFC 9106,
// section 3.4.1.3). Who watches the device's cache while a PIN is typed may use
// that to test PINs afterwards.
//
// May leak: the number of digits, whether a PIN has the right format, the rule
// that [CheckPIN] reports for a PIN that it refuses, and everything in a lockbox.
// [CheckPIN] takes the same time for every PIN of one length that it accepts.
//
// Lockbox and parameters are public as far as timing goes: parsing them takes as
// long as their contents make it. The server's half sees no secret but the outcome
// of a try, which is what it answers.
//
// # Cost
//
// [Lock] and [Lockbox.Unlock] allocate [Params].MemoryKiB each while they run, on
// Params.Threads goroutines. A program that unlocks concurrently bounds the number of
// calls itself; a Go program that runs out of memory cannot recover.
package pinlock

// Package limiter counts wrong PINs on a server, so that a thief has as many guesses as a
// policy allows. It is the server's half of the PIN; package pinlock is the device's.
//
// [Limiter.Attempt] has a PIN tried, writes the count, and then answers. A [Policy] says
// what follows wrong PINs in a row: locks, and in the end the loss of the key. A [Store]
// keeps the counters. A service whose records hold more than a [Counter] calls [Update]
// with [Policy.Next] instead, so that one write changes all of a record.
//
// # Security
//
// What the package promises:
//
//   - A verdict on a PIN is returned after its count is durable. Hanging up, a crash, or
//     a hundred requests at once give no free guess.
//   - A key that is locked or destroyed is refused before its PIN is tried.
//   - A counter that cannot be read is refused. It does not start anew.
//   - Time gives back no tries. A wrong clock can only shorten or lengthen a lock.
//
// What it does not promise: a [Limiter] alone does not stop a patient thief who has a
// copy of the device's storage. A right PIN gives all tries back, so the thief can guess
// twice between any two logins of the owner, for ever and without a lock: he finds a PIN
// of 4 digits after 5,000 guesses on average. Where storage can be copied, a right PIN
// must give tries back only together with a new token, and a request with an old token
// must destroy the key (scheme.md, sections 7.1 and 7.4). The example at Limiter does so
// with Update; package protocol/server also handles retries and lost answers. A Limiter
// is enough where the key that authenticates requests cannot leave the device.
//
// The Store is trusted to keep what it confirmed, the clock with the length of locks, and
// the caller to do nothing with the outcome of a try but to return it: see section 12 of
// docs/scheme.md.
//
// # Timing
//
// The outcome of a try is the one secret here, and it is what the answer says. A right
// PIN and a wrong one cost one write each. Counters, policies, ids and times are public.
package limiter

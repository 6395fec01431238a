// Package server is the service's half of the protocol. Three things matter first:
//
//   - [New] makes a [Server] of a [Config]: its store, its policy for wrong PINs, its keys.
//     Any number of servers with the same ones may work side by side.
//   - [Server.Handle] takes the bytes that devices send, and is the only input from outside.
//   - [Server.ChallengeEnroll] and [Server.ChallengeSignAll] make the challenges that the
//     service hands out, to a user whom it has identified.
//
// [Sealer] and [KeySource] are where an HSM comes in; [SoftwareSealer] and [KeyPool] do
// without. [AuditSink] keeps what happened, outside of the store. [KeyOfRecord] finds the keys among
// a store's ids, for a sweep.
//
// # Security
//
// Everything that counts is durable in the store when Handle returns. A store that goes
// back in time gives wrong PINs back, and destroyed keys (docs/operating.md). See package
// protocol for what the two parties achieve together, and docs/threats.md for what a
// thief of each part gets.
//
// # Timing
//
// MACs and tokens are compared in constant time. Whether a key id is known shows only as
// far as the store's own time does; a right PIN shows by the operation of the server's
// own key that follows it.
package server

// Package testidentities has persons who answer by themselves: an integrator's program
// can be tested against them without a phone, from a login that succeeds to each way in
// which one can fail.
//
// They are accounts like any other: enrolled with a registrar's code, with two keys of
// which the service holds one half of each, and certificates of the service's CA. Their
// phones run in this process ([device.Device]), know their PINs, and do what the person
// always does: sign, refuse on a certain screen, tap on the wrong code, or nothing.
//
//   - [Open] enrols those that are not there yet.
//   - [Identities.Watch] goes between the API and the engine: it wakes the phone that a
//     request is for, and lets the person see the verification code on the e-service's
//     page, which no phone is told.
//   - [Identities.Handler] is where an e-service's test hands in a device link, since
//     nobody is there to scan it.
//
// # Security
//
// Whoever may send requests gets signatures of these persons. So Open refuses to work for
// an issuing CA whose name does not begin with "TEST", and ends an account whose
// certificates another one has issued: nobody relies on certificates of such a CA.
//
// The handler calls callback URLs, of hosts that the configuration lists and of no
// others, and follows no redirects.
package testidentities

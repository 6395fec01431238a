// Package rp has what an e-service (a relying party) asks for and what it gets, whichever
// version of the relying-party API it speaks: a [Request], the [Outcome] of its session,
// a [Problem] in place of both. The API is that of Smart-ID, in the versions that public
// clients speak.
//
//   - Package rpv2 reads and writes versions 1 and 2, package rpv3 version 3.
//   - Package acsp has what a login of version 3 signs.
//   - Package devicelink has the links that a phone opens, or scans.
//   - Package openapi has a description of the API for machines.
//   - Package rphttp serves it over HTTP, in front of whatever has the sessions.
//
// The others serve nothing: they take and give bytes.
package rp

// Package deviceapi serves what phones call: enrolment, the account, sessions of relying
// parties. Package deviceclient is the phone's end.
//
//	handler, err := deviceapi.NewHandler(config)
//	mux.Handle("/device/v1/", http.StripPrefix("/device/v1", handler))
//
// Requests and answers are JSON, but for those of protocol/device at /message, which
// package protocol/httphandler answers, and the stream of events. docs/service.md has
// all of them.
//
// # Security
//
// A phone is known by its token: 32 random bytes that it drew at its enrolment, in the
// header "Authorization: Bearer". It is looked up by its SHA-256, so the time of a
// look-up tells nothing of a token that is nearly right. The token shows the account and
// its sessions; it signs nothing: see package accounts. TLS is needed.
//
// A body is read only if its headers say that it can be one, up to 64 KiB, and within
// some seconds; strictjson reads it. What a phone may not do changes nothing. Nothing of
// a request is logged but the document number.
package deviceapi

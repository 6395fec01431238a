// Package examples signs with a phone in formats that need a library of their own: its
// Examples are to be copied, and its tests have programs of others verify what came out.
//
// It is a module of its own, so that nobody else requires these libraries. More examples
// are beside the packages that they are of: protocol/device has a TLS server, a
// certificate request and a JSON Web Signature.
package examples

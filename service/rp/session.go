package rp

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net/netip"

	"github.com/tandem-rsa/tandem/internal/secret"
)

// Source is who sent a request, as far as the connection tells: what a service
// authenticates a relying party by, beside the UUID of the request.
type Source struct {
	// Address is the client's own, behind whatever proxies are trusted.
	Address netip.Addr
	// TokenHash is SHA-256 of the bearer token; zero if there is none. So nothing that
	// handles a Source can give the token away.
	TokenHash [sha256.Size]byte
	// Certificate is the one that the client has shown to hold the key of, in TLS; nil if
	// there is none. Who issued it is not checked.
	Certificate *x509.Certificate
}

// Session is what a request got. A signature of version 3 by a notification has a Code,
// one by a device link what [Session.Link] returns.
type Session struct {
	ID   string // a UUID: whoever knows it may read the session
	Code string // the verification code: four digits

	link secret.Value[[3]string]
}

// WithLink returns the session with a sessionToken, a sessionSecret in base64, and a
// deviceLinkBase.
func (s Session) WithLink(token, sessionSecret, base string) Session {
	s.link = secret.Hide([3]string{token, sessionSecret, base})
	return s
}

// Link returns what the relying party makes device links of; empty texts if there is
// nothing.
func (s Session) Link() (token, sessionSecret, base string) {
	parts := s.link.Get()
	return parts[0], parts[1], parts[2]
}

// Format hides what is secret, for every verb.
func (s Session) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "rp.Session(%s)", s.ID) }

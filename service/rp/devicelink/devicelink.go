// Package devicelink has the links of version 3 of the relying-party API that a phone
// scans as a QR code, or opens from another app or a browser.
//
// The relying party makes a link in its backend ([Session.Link]), for a QR code a new one
// each second. The service gets it from the phone, reads it ([Parse]), and checks that it
// is the relying party's ([Session.Verify]) and, for a QR code, recent ([Link.Fresh]).
//
//	deviceLinkBase ? deviceLinkType=T [& elapsedSeconds=N] & sessionToken=... &
//	sessionType=S & version=1.0 & lang=L & authCode=...
//
// # Security
//
// The authCode is an HMAC with the session's secret of the link as it stands and of what
// the relying party asked for, so that nobody else can make a link, or change one. It is
// compared in constant time. The secret is known to the relying party and the service;
// the phone gets a digest of it only, and no printer shows it.
package devicelink

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/service/rp"
)

var (
	// ErrMalformed is returned for a text that is not a device link.
	ErrMalformed = errors.New("devicelink: not a device link")
	// ErrLink is returned for a link that is not of the session, or that fits it not.
	ErrLink = errors.New("devicelink: the link is not of this session")
	// ErrOutdated is returned for a QR code that is not the present one.
	ErrOutdated = errors.New("devicelink: outdated QR code")
)

// Secret is a sessionSecret. The zero Secret makes and verifies nothing.
type Secret struct{ key secret.Bytes }

// NewSecret draws a secret: 32 bytes.
func NewSecret() Secret {
	b := make([]byte, 32)
	rand.Read(b)
	return Secret{secret.Own(b)}
}

// ParseSecret reads what Text returns. The error is ErrMalformed.
func ParseSecret(text string) (Secret, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) < 18 || base64.StdEncoding.EncodeToString(b) != text {
		return Secret{}, ErrMalformed
	}
	return Secret{secret.Own(b)}, nil
}

// Text returns the secret in base64, for the relying party and the session's record.
func (s Secret) Text() string { return base64.StdEncoding.EncodeToString(s.key.Get()) }

// Digest returns the sessionSecretDigest, which the phone adds to the callback URL.
func (s Secret) Digest() string {
	sum := sha256.Sum256(s.key.Get())
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Format hides the secret, for every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "devicelink.Secret(hidden)") }

const (
	minToken, maxToken = 24, 64
	tokenAlphabet      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// NewToken draws a sessionToken: 24 letters and digits, 142 bits.
func NewToken() string {
	out := make([]byte, 0, minToken)
	for len(out) < minToken {
		var b [1]byte
		rand.Read(b[:])
		// 248 = 4 * 62: each character is as probable as any other.
		if b[0] < 248 {
			out = append(out, tokenAlphabet[int(b[0])%len(tokenAlphabet)])
		}
	}
	return string(out)
}

// Link is what a device link says.
type Link struct {
	Base    string // deviceLinkBase
	Type    rp.FlowType
	Elapsed int // seconds since the session began; of QR codes only
	Token   string
	Session rp.Kind // Authentication, Signature or CertificateChoice
	Lang    string  // ISO 639-2, such as "eng"

	// Of a link that was parsed: what the authCode is about, and the authCode.
	unprotected string
	authCode    []byte
}

const (
	version    = "1.0"
	maxLink    = 2048
	maxElapsed = 1 << 20
)

var sessionTypes = map[rp.Kind]string{rp.Authentication: "auth", rp.Signature: "sign", rp.CertificateChoice: "cert"}

// text returns a link without its authCode.
func (l Link) text() string {
	s := l.Base + "?deviceLinkType=" + string(l.Type)
	if l.Type == rp.FlowQR {
		s += "&elapsedSeconds=" + strconv.Itoa(l.Elapsed)
	}
	return s + "&sessionToken=" + l.Token + "&sessionType=" + sessionTypes[l.Session] + "&version=" + version + "&lang=" + l.Lang
}

func (l Link) check() error {
	switch {
	case l.Base == "" || strings.ContainsFunc(l.Base, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("?#&|%", r) }):
		return fmt.Errorf("%w: deviceLinkBase", ErrMalformed)
	case l.Type != rp.FlowQR && l.Type != rp.FlowWeb2App && l.Type != rp.FlowApp2App:
		return fmt.Errorf("%w: deviceLinkType", ErrMalformed)
	case l.Elapsed < 0 || l.Elapsed > maxElapsed || l.Elapsed != 0 && l.Type != rp.FlowQR:
		return fmt.Errorf("%w: elapsedSeconds", ErrMalformed)
	case len(l.Token) < minToken || len(l.Token) > maxToken || strings.Trim(l.Token, tokenAlphabet) != "":
		return fmt.Errorf("%w: sessionToken", ErrMalformed)
	case sessionTypes[l.Session] == "":
		return fmt.Errorf("%w: sessionType", ErrMalformed)
	case len(l.Lang) != 3 || strings.Trim(l.Lang, "abcdefghijklmnopqrstuvwxyz") != "":
		return fmt.Errorf("%w: lang", ErrMalformed)
	}
	return nil
}

// Parse reads a link. It takes parameters in the one order that there is, none twice, and
// no escapes: there is one text for each link. The error is ErrMalformed.
func Parse(link string) (Link, error) {
	if len(link) > maxLink {
		return Link{}, fmt.Errorf("%w: too long", ErrMalformed)
	}
	unprotected, code, _ := strings.Cut(link, "&authCode=")
	base, query, _ := strings.Cut(unprotected, "?")
	l := Link{Base: base, unprotected: unprotected}
	next := func(name string) string {
		var value string
		value, query, _ = strings.Cut(query, "&")
		value, ok := strings.CutPrefix(value, name+"=")
		if !ok {
			return ""
		}
		return value
	}
	l.Type = rp.FlowType(next("deviceLinkType"))
	if l.Type == rp.FlowQR {
		n, err := strconv.Atoi(next("elapsedSeconds"))
		if err != nil {
			return Link{}, fmt.Errorf("%w: elapsedSeconds", ErrMalformed)
		}
		l.Elapsed = n
	}
	l.Token = next("sessionToken")
	session := next("sessionType")
	for kind, name := range sessionTypes {
		if name == session {
			l.Session = kind
		}
	}
	if next("version") != version {
		return Link{}, fmt.Errorf("%w: version", ErrMalformed)
	}
	l.Lang = next("lang")
	if err := l.check(); err != nil {
		return Link{}, err
	}
	var err error
	l.authCode, err = base64.RawURLEncoding.DecodeString(code)
	if err != nil || len(l.authCode) != sha256.Size || base64.RawURLEncoding.EncodeToString(l.authCode) != code {
		return Link{}, fmt.Errorf("%w: authCode", ErrMalformed)
	}
	// Whatever was not read as it would be written: an escape, a zero, a parameter more.
	if l.text() != unprotected {
		return Link{}, ErrMalformed
	}
	return l, nil
}

// Session is what the links of a session are bound to. The texts are as the relying party
// sent them, byte for byte.
type Session struct {
	Scheme           string // schemeName, such as "smart-id-demo"
	Base             string // deviceLinkBase
	Token            string
	Kind             rp.Kind // Authentication, Signature or CertificateChoice
	Challenge        string  // rpChallenge or digest, in base64; empty for a choice
	RelyingPartyName string
	BrokeredRPName   string // empty if there is no broker
	Interactions     string // the base64 text; empty for a choice
	CallbackURL      string // initialCallbackUrl; empty if there is none
}

var protocols = map[rp.Kind]string{rp.Authentication: "ACSP_V2", rp.Signature: "RAW_DIGEST_SIGNATURE", rp.CertificateChoice: ""}

// authCode computes an authCode of a link without one.
func (s Session) authCode(secret Secret, unprotected string, t rp.FlowType) []byte {
	challenge, interactions, callback := s.Challenge, s.Interactions, s.CallbackURL
	if s.Kind == rp.CertificateChoice {
		challenge, interactions = "", ""
	}
	if t == rp.FlowQR {
		callback = ""
	}
	h := hmac.New(sha256.New, secret.key.Get())
	h.Write([]byte(strings.Join([]string{
		s.Scheme,
		protocols[s.Kind],
		challenge,
		base64.StdEncoding.EncodeToString([]byte(s.RelyingPartyName)),
		base64.StdEncoding.EncodeToString([]byte(s.BrokeredRPName)),
		interactions,
		callback,
		unprotected,
	}, "|")))
	return h.Sum(nil)
}

// Link makes a link. elapsed is how long ago the answer with the session arrived, of
// which whole seconds count; it is for QR codes only. The error is ErrMalformed for what
// no link can be made of, such as a way back without a callback URL.
func (s Session) Link(secret Secret, t rp.FlowType, elapsed time.Duration, lang string) (string, error) {
	l := Link{Base: s.Base, Type: t, Token: s.Token, Session: s.Kind, Lang: lang}
	if t == rp.FlowQR {
		l.Elapsed = int(elapsed / time.Second)
	}
	if err := s.fits(secret, l); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := l.check(); err != nil {
		return "", err
	}
	unprotected := l.text()
	return unprotected + "&authCode=" + base64.RawURLEncoding.EncodeToString(s.authCode(secret, unprotected, t)), nil
}

func (s Session) fits(secret Secret, l Link) error {
	switch {
	case len(secret.key.Get()) == 0:
		return fmt.Errorf("%w: no secret", ErrLink)
	case l.Base != s.Base || l.Token != s.Token || l.Session != s.Kind:
		return fmt.Errorf("%w: another base, token or kind", ErrLink)
	case l.Type != rp.FlowQR && s.CallbackURL == "":
		return fmt.Errorf("%w: no callback URL to return to", ErrLink)
	}
	return nil
}

// Verify reports whether a link that was parsed is one that the relying party made for
// the session. The error is ErrLink.
func (s Session) Verify(secret Secret, l Link) error {
	if err := s.fits(secret, l); err != nil {
		return err
	}
	if l.unprotected == "" || !hmac.Equal(l.authCode, s.authCode(secret, l.unprotected, l.Type)) {
		return fmt.Errorf("%w: authCode", ErrLink)
	}
	return nil
}

// The window of Fresh by default: the relying party's clock begins when the answer with
// the session has arrived, and the phone needs some time.
const (
	DefaultEarly = 2 * time.Second
	DefaultLate  = 5 * time.Second
)

// Fresh reports whether a QR code is the one of now, for a session that began at a time.
// Its elapsed seconds may be ahead of the clock by early and behind it by late. Links of
// other types have no age. The error is ErrOutdated.
func (l Link) Fresh(began, now time.Time, early, late time.Duration) error {
	if l.Type != rp.FlowQR {
		return nil
	}
	age := now.Sub(began) - time.Duration(l.Elapsed)*time.Second
	if age < -early || age > late {
		return ErrOutdated
	}
	return nil
}

// Package acsp has the signature protocol of logins of version 3 of the relying-party
// API, ACSP_V2: what is signed ([Payload]), and what binds the browser that began to the
// phone that ended (userChallenge, callback).
//
// # Security
//
// The message that is signed joins its parts with "|". A part that may be anything is in
// it as base64; the others are refused if they have a "|" ([Payload.Message]). So no two
// payloads have the same message.
//
// The server knows the userChallenge before the phone signs, and not its verifier: only
// the phone can finish the callback.
package acsp

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/tandem-rsa/tandem/service/rp"
)

// ErrPayload is returned for a payload that cannot be signed; the message says which part
// is wrong.
var ErrPayload = errors.New("acsp: unacceptable payload")

// Payload is all that a login signs. The texts are as they were sent, byte for byte.
type Payload struct {
	Scheme           string // schemeName, such as "smart-id-demo"
	ServerRandom     string // [NewServerRandom]
	Challenge        string // rpChallenge, in base64
	UserChallenge    string // [UserChallenge] of the phone's verifier
	RelyingPartyName string
	BrokeredRPName   string // empty if there is no broker
	Interactions     string // the base64 text of the request
	Interaction      rp.InteractionType
	CallbackURL      string // initialCallbackUrl; left out with QR codes and notifications
	Flow             rp.FlowType
}

// Message returns what is signed. The error is ErrPayload.
func (p Payload) Message() (string, error) {
	callback := p.CallbackURL
	if p.Flow == rp.FlowQR || p.Flow == rp.FlowNotification {
		callback = ""
	}
	if err := p.check(callback); err != nil {
		return "", err
	}
	interactions := sha256.Sum256([]byte(p.Interactions))
	return strings.Join([]string{
		p.Scheme,
		"ACSP_V2",
		p.ServerRandom,
		p.Challenge,
		p.UserChallenge,
		base64.StdEncoding.EncodeToString([]byte(p.RelyingPartyName)),
		base64.StdEncoding.EncodeToString([]byte(p.BrokeredRPName)),
		base64.StdEncoding.EncodeToString(interactions[:]),
		string(p.Interaction),
		callback,
		string(p.Flow),
	}, "|"), nil
}

func (p Payload) check(callback string) error {
	decodes := func(e *base64.Encoding, s string, least int) bool {
		b, err := e.DecodeString(s)
		return err == nil && e.EncodeToString(b) == s && len(b) >= least
	}
	_, member := p.Interaction.MaxText()
	switch {
	case p.Scheme == "" || strings.Trim(p.Scheme, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return fmt.Errorf("%w: the scheme", ErrPayload)
	case !decodes(base64.StdEncoding, p.ServerRandom, 18):
		return fmt.Errorf("%w: serverRandom", ErrPayload)
	case !decodes(base64.StdEncoding, p.Challenge, 32):
		return fmt.Errorf("%w: rpChallenge", ErrPayload)
	case !ValidUserChallenge(p.UserChallenge):
		return fmt.Errorf("%w: userChallenge", ErrPayload)
	case p.RelyingPartyName == "":
		return fmt.Errorf("%w: relyingPartyName", ErrPayload)
	case !decodes(base64.StdEncoding, p.Interactions, 1):
		return fmt.Errorf("%w: interactions", ErrPayload)
	case member == "":
		return fmt.Errorf("%w: interactionTypeUsed", ErrPayload)
	case strings.ContainsAny(callback, "|\x00\r\n"):
		return fmt.Errorf("%w: initialCallbackUrl", ErrPayload)
	}
	switch p.Flow {
	case rp.FlowQR, rp.FlowNotification:
	case rp.FlowWeb2App, rp.FlowApp2App:
		if callback == "" {
			return fmt.Errorf("%w: no initialCallbackUrl to return to", ErrPayload)
		}
	default:
		return fmt.Errorf("%w: flowType", ErrPayload)
	}
	return nil
}

// Digest returns the hash of the message, which is what the two halves of a key sign. The
// error is ErrPayload, for a hash that this program does not have as well.
func (p Payload) Digest(h crypto.Hash) ([]byte, error) {
	m, err := p.Message()
	if err != nil {
		return nil, err
	}
	if !h.Available() {
		return nil, fmt.Errorf("%w: hash %d", ErrPayload, uint(h))
	}
	d := h.New()
	d.Write([]byte(m))
	return d.Sum(nil), nil
}

// NewServerRandom draws a serverRandom: 24 bytes in base64.
func NewServerRandom() string {
	b := make([]byte, 24)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// NewVerifier draws a userChallengeVerifier, which the phone keeps until the person has
// answered: 32 bytes in base64url, 43 characters.
func NewVerifier() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// UserChallenge returns the userChallenge of a verifier.
func UserChallenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ValidUserChallenge reports whether a text has the form of a userChallenge: 32 bytes in
// base64url without padding.
func ValidUserChallenge(s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) == 32 && base64.RawURLEncoding.EncodeToString(b) == s
}

// CallbackURL returns what the phone opens when the person has answered: the
// initialCallbackUrl with sessionSecretDigest and, in a login that succeeded, the
// verifier; else that is empty.
func CallbackURL(initial, sessionSecretDigest, verifier string) string {
	separator := "?"
	if strings.Contains(initial, "?") {
		separator = "&"
	}
	url := initial + separator + "sessionSecretDigest=" + sessionSecretDigest
	if verifier != "" {
		url += "&userChallengeVerifier=" + verifier
	}
	return url
}

// VerifyCallback is the relying party's check of a login's callback: the browser has come
// back from the phone that signed, if sessionSecretDigest is that of the session's
// secret, and the verifier that of the signature's userChallenge. It takes constant time.
func VerifyCallback(sessionSecretDigest, wantDigest, verifier, userChallenge string) bool {
	return wantDigest != "" && userChallenge != "" &&
		subtle.ConstantTimeCompare([]byte(sessionSecretDigest), []byte(wantDigest))&
			subtle.ConstantTimeCompare([]byte(UserChallenge(verifier)), []byte(userChallenge)) == 1
}

// Package fields reads what the bodies of all versions of the relying-party API have in
// common.
package fields

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/strictjson"
)

const (
	maxName         = 32 // bytes of UTF-8
	maxNonce        = 30
	maxCapabilities = 16
	maxCapability   = 64
	maxProperties   = 16
)

// Problem turns an error of strictjson or of identity into a [*rp.Problem]; others are
// Internal.
func Problem(err error) error {
	var wrong *strictjson.Error
	var known *rp.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return known
	case errors.As(err, &wrong):
		detail := wrong.Problem
		if wrong.Pointer == "" {
			detail = "the body " + detail
		}
		return &rp.Problem{Kind: rp.Invalid, Pointer: wrong.Pointer, Detail: detail}
	}
	return &rp.Problem{Kind: rp.Internal, Detail: "internal error"}
}

// Person is the target of an etsi path. What is nobody's identifier is not found: it has
// no account.
func Person(s string) (rp.Target, error) {
	id, err := identity.ParseID(s)
	if err != nil {
		return rp.Target{}, notFound()
	}
	return rp.Target{Person: &id}, nil
}

// Document is the target of a document path, likewise.
func Document(s string) (rp.Target, error) {
	d, err := identity.ParseDocument(s)
	if err != nil {
		return rp.Target{}, notFound()
	}
	return rp.Target{Document: &d}, nil
}

func notFound() error { return &rp.Problem{Kind: rp.NotFound, Detail: "no such account"} }

// RelyingParty reads who asks.
func RelyingParty(o *strictjson.Object, r *rp.Request) {
	const uuid, name = "relyingPartyUUID", "relyingPartyName"
	if s := o.String(uuid, true); o.Err() == nil {
		var ok bool
		if r.RelyingPartyUUID, ok = rp.UUID(s); !ok {
			o.Fail(uuid, "is not a UUID")
		}
	}
	r.RelyingPartyName = o.String(name, true)
	if n := len(r.RelyingPartyName); n == 0 || n > maxName {
		o.Fail(name, "does not have 1 to 32 bytes")
	}
	if problem := rp.DisplayProblem(r.RelyingPartyName, maxName); problem != "" {
		o.Fail(name, problem)
	}
}

// Level reads certificateLevel. QSCD is for signing certificates only.
func Level(o *strictjson.Object, r *rp.Request) {
	const name = "certificateLevel"
	switch level := o.String(name, false); {
	case !o.Has(name) || level == "QUALIFIED":
		r.Level = rp.LevelQualified
	case level == "ADVANCED":
		r.Level = rp.LevelAdvanced
	case level == "QSCD" && r.Kind != rp.Authentication:
		r.Level = rp.LevelQSCD
	default:
		o.Fail(name, "is not a level that this request can ask for")
	}
}

// Nonce reads the nonce.
func Nonce(o *strictjson.Object, r *rp.Request) {
	const name = "nonce"
	r.Nonce = o.String(name, false)
	if o.Has(name) && r.Nonce == "" {
		o.Fail(name, "does not have 1 to 30 characters")
	}
	if problem := rp.DisplayProblem(r.Nonce, maxNonce); problem != "" {
		o.Fail(name, problem)
	}
}

// Properties reads requestProperties and capabilities. known are the properties that the
// caller reads by itself.
func Properties(o *strictjson.Object, r *rp.Request, known ...string) *strictjson.Object {
	const shareIP = "shareMdClientIpAddress"
	p := o.Object("requestProperties", false)
	r.ShareIP = p.Bool(shareIP)
	for _, name := range p.Names() {
		if name != shareIP && !slices.Contains(known, name) {
			r.Ignored = append(r.Ignored, name)
		}
	}
	if len(r.Ignored) > maxProperties {
		p.Fail("", "has too many members")
	}
	for _, name := range r.Ignored {
		if problem := rp.DisplayProblem(name, maxCapability); problem != "" || name == "" {
			p.Fail("", "has a member whose name is not acceptable")
		}
	}

	const capabilities = "capabilities"
	r.Capabilities = o.Strings(capabilities)
	if len(r.Capabilities) > maxCapabilities {
		o.Fail(capabilities, "has too many elements")
	}
	for _, c := range r.Capabilities {
		if problem := rp.DisplayProblem(c, maxCapability); problem != "" || c == "" {
			o.Fail(capabilities, "has an element that is not acceptable")
		}
	}
	return p
}

// Base64 decodes canonical base64: the standard alphabet, padding, no spare bit set, no
// white space.
func Base64(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	// The decoder skips line breaks, and ignores bits to spare.
	return b, err == nil && base64.StdEncoding.EncodeToString(b) == s
}

// Digest reads the base64 of a digest, whose length must be the hash's.
func Digest(o *strictjson.Object, name string, r *rp.Request) {
	s := o.String(name, true)
	if o.Err() != nil {
		return
	}
	var ok bool
	if r.Digest, ok = Base64(s); !ok {
		o.Fail(name, "is not base64")
	} else if len(r.Digest) != r.Algorithm.Hash.Size() {
		o.Fail(name, "does not have the length of the hash")
	}
}

// Interaction reads one interaction object.
func Interaction(o *strictjson.Object) rp.Interaction {
	i := rp.Interaction{Type: rp.InteractionType(o.String("type", true))}
	characters, member := i.Type.MaxText()
	if member == "" {
		o.Fail("type", "is not a type of interaction")
		return i
	}
	for _, other := range []string{"displayText60", "displayText200"} {
		if other != member && o.Has(other) {
			o.Fail(other, "does not belong to this type")
		}
	}
	if i.Text = o.String(member, true); i.Text == "" {
		o.Fail(member, "is empty")
	}
	if problem := rp.DisplayProblem(i.Text, characters); problem != "" {
		o.Fail(member, problem)
	}
	return i
}

// Key is the idempotence key: of the relying party, the path and what the body says.
func Key(r *rp.Request, path string, o *strictjson.Object) [sha256.Size]byte {
	h := sha256.New()
	for _, part := range [][]byte{{byte(r.Version)}, []byte(r.RelyingPartyUUID), []byte(path), o.Canonical()} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

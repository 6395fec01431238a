package transactions

import (
	"context"
	"crypto"
	"crypto/rsa"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/acsp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// ClaimRequest is how a phone opens a session: one that [Engine.Poll] told it of, or one
// whose device link it has scanned or was opened with.
type ClaimRequest struct {
	Session       string // or
	DeviceLink    string
	UserChallenge string               // of package acsp; for logins of version 3
	Interactions  []rp.InteractionType // those that the app can do
	Address       netip.Addr           // the phone's, which a relying party may ask for
}

// Claimed is what a phone shows.
type Claimed struct {
	Session      string
	Version      rp.Version
	Kind         rp.Kind
	RelyingParty string // the name
	// Several says that the person has several accounts that were asked: the phone asks
	// first whether to use this one.
	Several     bool
	Interaction rp.Interaction // of a choice of a certificate there is none
	Flow        rp.FlowType
	// Code is the verification code, which the person compares; empty where the relying
	// party has none, and where the person chooses among Codes.
	Code     string
	Codes    []string // three, or none
	Deadline time.Time
	// Callback and SecretDigest are what [acsp.CallbackURL] makes the URL of that the
	// phone opens at the end, where it was opened by a link of the same device, and after
	// a linked signature.
	Callback     string
	SecretDigest string
	// ToSign is nil before the right one of three codes, and for a choice of a
	// certificate.
	ToSign *ToSign
}

// ToSign is what the person signs.
type ToSign struct {
	Challenge []byte // for [device.Device.Sign]
	Digest    []byte
	Algorithm rp.Algorithm
	// Payload is what the digest of a login of version 3 is of, so that the phone can see
	// that it is what it shows; nil for all else.
	Payload *acsp.Payload
}

// Options returns how the digest is signed.
func (t ToSign) Options() crypto.SignerOpts { return options(t.Algorithm) }

func options(a rp.Algorithm) crypto.SignerOpts {
	if a.PSS {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.Hash}
	}
	return a.Hash
}

// Claim opens a session on a phone. A phone that claims once more, for want of an answer,
// gets the same. Errors: those of this package, of package devicelink for a link, and
// [ErrRequest].
func (e *Engine) Claim(ctx context.Context, a accounts.Account, r ClaimRequest) (*Claimed, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	var link *devicelink.Link
	switch {
	case (r.Session == "") == (r.DeviceLink == ""):
		return nil, fmt.Errorf("%w: a session or a device link", ErrRequest)
	case r.UserChallenge != "" && !acsp.ValidUserChallenge(r.UserChallenge):
		return nil, fmt.Errorf("%w: userChallenge", ErrRequest)
	case r.DeviceLink != "":
		l, err := devicelink.Parse(r.DeviceLink)
		if err != nil {
			return nil, err
		}
		link = &l
	}
	// What the keys' store says is found out first: not while the database is locked.
	unusable := map[ca.Use]rp.End{}
	for _, use := range e.usesOf(r) {
		end, err := e.unusable(ctx, a, use)
		if err != nil {
			return nil, err
		}
		unusable[use] = end
	}
	var waits bool
	find := func(ctx context.Context, tx *sql.Tx) (s session, err error) {
		if link == nil {
			s, waits, err = e.store.lockFor(ctx, tx, r.Session, a.Document, e.now())
		} else {
			s, waits, err = e.store.lockByToken(ctx, tx, link.Token, a.Document, e.now())
		}
		return s, err
	}
	s, err := e.change(ctx, find, func(ctx context.Context, tx *sql.Tx, s session, now time.Time) (session, error) {
		ev := event{kind: claims, document: a.Document, life: e.life}
		stage := s.stageOf(a.Document)
		if link != nil {
			if err := e.admit(s, *link, stage == absent, now); err != nil {
				return s, err
			}
		}
		s = expire(s, now)
		switch {
		case s.Outcome != nil, stage != absent && stage != invited:
			return next(s, ev, now) // it has a claim, or cannot have one
		case stage == absent && link == nil:
			return s, ErrNotFound // whoever knows the id of a session has not seen its link
		}
		why := unusable[useOf(s.Request.Kind)]
		if waits && s.Request.Flow != rp.Linked {
			why = rp.ExpectedLinkedSession
		}
		var refused error
		if why == 0 {
			ev.claim, why, refused = e.newClaim(ctx, s, a, r, link)
			if refused != nil {
				return s, refused
			}
		}
		taken, err := next(s, ev, now)
		if err != nil || why == 0 {
			return taken, err
		}
		// One that cannot go on opens the session all the same, so that it counts.
		dropped, err := next(taken, event{kind: drops, document: a.Document, why: why}, now)
		if err != nil {
			return dropped, err
		}
		return dropped, &UnusableError{why}
	})
	if err != nil {
		return nil, err
	}
	return e.claimed(s, a), nil
}

// usesOf returns for what keys a session may be: for one, if this node knows it.
func (e *Engine) usesOf(r ClaimRequest) []ca.Use {
	if kind, ok := e.kinds.Get(r.Session); ok && r.Session != "" {
		return []ca.Use{useOf(kind)}
	}
	return []ca.Use{ca.Authentication, ca.Signature}
}

// admit checks a device link against its session.
func (e *Engine) admit(s session, l devicelink.Link, fresh bool, now time.Time) error {
	if err := e.link(s).Verify(s.secret, l); err != nil {
		return err
	}
	if !fresh || l.Fresh(s.Began, now, devicelink.DefaultEarly, devicelink.DefaultLate) == nil {
		return nil
	}
	// A relying party that has asked again counts from the later answer.
	return l.Fresh(s.Answered, now, devicelink.DefaultEarly, devicelink.DefaultLate)
}

// link is what the links of a session are bound to.
func (e *Engine) link(s session) devicelink.Session {
	r := s.Request
	l := devicelink.Session{
		Scheme: e.scheme, Base: e.linkBase, Token: s.Token, Kind: r.Kind, Challenge: r.Challenge,
		RelyingPartyName: r.RelyingPartyName, Interactions: r.InteractionsText, CallbackURL: r.CallbackURL,
	}
	if r.Kind == rp.Signature {
		l.Challenge = base64.StdEncoding.EncodeToString(r.Digest)
	}
	return l
}

// newClaim makes an account's claim, or says why it can have none.
func (e *Engine) newClaim(ctx context.Context, s session, a accounts.Account, r ClaimRequest, link *devicelink.Link) (c claim, why rp.End, err error) {
	c.Flow, c.Device, c.Address = rp.FlowNotification, a.Device, address(r.Address)
	if link != nil {
		c.Flow = link.Type
	}
	key := a.Key(useOf(s.Request.Kind))
	c.Certificate = key.Certificate
	if s.Request.Kind == rp.CertificateChoice {
		return c, 0, nil
	}
	i := slices.IndexFunc(s.Request.Interactions, func(i rp.Interaction) bool { return slices.Contains(r.Interactions, i.Type) })
	if i < 0 {
		return c, rp.InteractionNotSupported, nil
	}
	c.Interaction = s.Request.Interactions[i]
	if c.Interaction.Type.Choice() {
		if c.Codes, err = protocol.CodeChoiceOf(s.Code); err != nil {
			return c, 0, err
		}
	}
	c.Digest = s.Request.Digest
	if isACSP(s.Request) {
		if r.UserChallenge == "" {
			return c, 0, fmt.Errorf("%w: no userChallenge", ErrRequest)
		}
		c.ServerRandom, c.UserChallenge = acsp.NewServerRandom(), r.UserChallenge
		p := e.payload(s, c)
		if c.Digest, err = p.Digest(s.Request.Algorithm.Hash); err != nil {
			return c, 0, err
		}
	}
	c.Challenge, err = e.protocol.ChallengeSign(ctx, key.ID, c.Digest, options(s.Request.Algorithm))
	return c, 0, err
}

// isACSP reports whether what is signed follows from what is shown.
func isACSP(r rp.Request) bool { return r.Version == rp.V3 && r.Kind == rp.Authentication }

func (e *Engine) payload(s session, c claim) acsp.Payload {
	return acsp.Payload{
		Scheme: e.scheme, ServerRandom: c.ServerRandom, Challenge: s.Request.Challenge, UserChallenge: c.UserChallenge,
		RelyingPartyName: s.Request.RelyingPartyName, Interactions: s.Request.InteractionsText, Interaction: c.Interaction.Type,
		CallbackURL: s.Request.CallbackURL, Flow: c.Flow,
	}
}

// unusable says why a key of an account makes no signatures now; 0 if it does.
func (e *Engine) unusable(ctx context.Context, a accounts.Account, use ca.Use) (rp.End, error) {
	if a.State != accounts.Active || !e.now().Before(a.Expires) {
		return rp.DocumentUnusable, nil
	}
	status, err := e.protocol.Status(ctx, a.Key(use).ID)
	switch {
	case errors.Is(err, server.ErrUnknownKey):
		return rp.DocumentUnusable, nil
	case err != nil:
		return 0, err
	case status.Condition != server.Active || status.Attempts.Destroyed || e.now().Before(status.Attempts.LockedUntil):
		return rp.DocumentUnusable, nil
	}
	return 0, nil
}

func useOf(k rp.Kind) ca.Use {
	if k == rp.Authentication {
		return ca.Authentication
	}
	return ca.Signature
}

func (s session) stageOf(d identity.Document) stage {
	for _, a := range s.Accounts {
		if a.Document == d {
			return a.Stage
		}
	}
	return absent
}

func (s session) claimOf(d identity.Document) claim {
	for _, a := range s.Accounts {
		if a.Document == d {
			return a.Claim
		}
	}
	return claim{}
}

// claimed is what a phone may know of a session at its stage.
func (e *Engine) claimed(s session, a accounts.Account) *Claimed {
	c := s.claimOf(a.Document)
	out := &Claimed{
		Session: s.ID, Version: s.Request.Version, Kind: s.Request.Kind, RelyingParty: s.Request.RelyingPartyName, Several: s.Several,
		Interaction: c.Interaction, Flow: c.Flow, Deadline: s.Deadline,
	}
	if c.Flow == rp.FlowWeb2App || c.Flow == rp.FlowApp2App || s.Request.Flow == rp.Linked {
		out.Callback, out.SecretDigest = s.Callback, s.Digest
	}
	switch {
	case c.Interaction.Type.Choice():
		out.Codes = c.Codes[:]
	case s.Request.Kind != rp.CertificateChoice:
		out.Code = s.Code
	}
	if s.stageOf(a.Document) == signing {
		out.ToSign = e.toSign(s, c)
	}
	return out
}

func (e *Engine) toSign(s session, c claim) *ToSign {
	t := &ToSign{Challenge: c.Challenge, Digest: c.Digest, Algorithm: s.Request.Algorithm}
	if isACSP(s.Request) {
		p := e.payload(s, c)
		t.Payload = &p
	}
	return t
}

func address(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

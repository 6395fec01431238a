package transactions

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/devicelink"
)

// Begin starts a session, or finds the one that an equal request got within
// [rp.IdempotencePeriod]. Errors that the relying party may know are an [*rp.Problem].
func (e *Engine) Begin(ctx context.Context, r rp.Request, source rp.Source) (rp.Session, error) {
	if err := e.ready(ctx); err != nil {
		return rp.Session{}, err
	}
	if r.Kind == rp.Certificate || r.Kind == 0 || r.Flow == 0 {
		return rp.Session{}, errors.New("transactions: no session for such a request")
	}
	var s session
	var all []accounts.Account
	for try := 0; ; try++ {
		before, err := e.before(ctx, r, source)
		if err != nil {
			return rp.Session{}, err
		}
		if before.repeated {
			again, err := e.answerAgain(ctx, before.equal)
			return e.answer(again), err
		}
		if try == 0 {
			// Before it is known whether there is such a person.
			if err = e.allow(ctx, r, source); err != nil {
				return rp.Session{}, err
			}
			if all, err = e.find(ctx, r); err != nil {
				return rp.Session{}, err
			}
			if s, err = e.newSession(ctx, r, all); err != nil {
				return rp.Session{}, err
			}
		}
		begun, err := e.start(ctx, s, all, before.old)
		// One that took the place meanwhile is an equal request's, so it is found now.
		if err == nil || !errors.Is(err, errTaken) || try == tries {
			return e.answer(begun), err
		}
	}
}

const tries = 3

// start begins a session. An old one for the same request gives its place up.
func (e *Engine) start(ctx context.Context, s session, all []accounts.Account, old bool) (begun session, err error) {
	err = e.db.TxReadCommitted(ctx, func(tx *sql.Tx) error {
		fresh := s
		fresh.Began = e.now()
		fresh.Answered = fresh.Began
		if old {
			if err := release(ctx, tx, s.Request.Key, fresh.Began.Add(-rp.IdempotencePeriod)); err != nil {
				return err
			}
		}
		fresh, err := e.begin(ctx, tx, fresh, all)
		if err != nil {
			return err
		}
		begun = fresh
		return e.write(ctx, tx, session{}, fresh)
	})
	if err != nil {
		return session{}, err
	}
	for _, a := range begun.Accounts {
		if e.wake != nil && begun.Outcome == nil && a.Stage == invited {
			e.wake(a.Document)
		}
	}
	return begun, nil
}

// before is what is known before a session begins.
type before struct {
	repeated bool
	equal    session // of an equal request, if it is repeated
	old      bool    // an equal request has a session that is too old
}

// before finds out who asks, and whether it may, and whether it has asked before, in one
// transaction.
func (e *Engine) before(ctx context.Context, r rp.Request, source rp.Source) (b before, err error) {
	err = e.db.Snapshot(ctx, func(ctx context.Context) error {
		b = before{}
		if err := e.authenticate(ctx, r, source); err != nil {
			return err
		}
		if !r.Idempotent {
			return nil
		}
		err := e.db.Read(ctx, func(tx *sql.Tx) (err error) {
			b.equal, err = e.store.earlier(ctx, tx, r.Key)
			return err
		})
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		b.repeated = err == nil && b.equal.Began.After(e.now().Add(-rp.IdempotencePeriod))
		b.old = err == nil && !b.repeated
		return err
	})
	return b, err
}

// answerAgain is for the second answer to a request: QR codes count from that one.
func (e *Engine) answerAgain(ctx context.Context, s session) (session, error) {
	if s.Token == "" || s.Outcome != nil {
		return s, nil
	}
	return e.change(ctx, e.byID(s.ID), func(_ context.Context, _ *sql.Tx, s session, now time.Time) (session, error) {
		s.Answered = now
		return s, nil
	})
}

func (e *Engine) answer(s session) rp.Session {
	out := rp.Session{ID: s.ID}
	// A login's code follows from its challenge: only that of a signature is told.
	if s.Request.Version == rp.V3 && s.Request.Kind == rp.Signature && s.Request.Flow == rp.Notification {
		out.Code = s.Code
	}
	if s.Token != "" {
		out = out.WithLink(s.Token, s.secret.Text(), e.linkBase)
	}
	return out
}

// find returns the accounts that a request is for; none if a device link is for anybody.
func (e *Engine) find(ctx context.Context, r rp.Request) ([]accounts.Account, error) {
	var all []accounts.Account
	switch t := r.Target; {
	case t.Document != nil:
		a, err := e.accounts.ByDocument(ctx, *t.Document)
		if errors.Is(err, accounts.ErrNotFound) {
			return nil, noAccount()
		}
		if err != nil {
			return nil, err
		}
		all = []accounts.Account{a}
	case t.Person != nil:
		var err error
		if all, err = e.accounts.ByPerson(ctx, *t.Person); err != nil && !errors.Is(err, accounts.ErrNotFound) {
			return nil, err
		}
	case r.Level == rp.LevelQSCD && !e.qualifiedDevice:
		return nil, noSuitableAccount()
	default:
		return nil, nil
	}
	suspended := slices.ContainsFunc(all, func(a accounts.Account) bool { return a.State == accounts.Suspended })
	all = slices.DeleteFunc(slices.Clone(all), func(a accounts.Account) bool { return a.State != accounts.Active || !e.now().Before(a.Expires) })
	if len(all) == 0 {
		if suspended {
			return nil, &rp.Problem{Kind: rp.PersonShouldViewApp, Detail: "the account cannot be used now"}
		}
		return nil, noAccount()
	}
	all = slices.DeleteFunc(all, func(a accounts.Account) bool {
		return !r.Level.Accepts(a.Document.Level) || r.Level == rp.LevelQSCD && !e.qualifiedDevice
	})
	if len(all) == 0 {
		return nil, noSuitableAccount()
	}
	return all, nil
}

func noAccount() error { return &rp.Problem{Kind: rp.NotFound, Detail: "no such account"} }

func noSuitableAccount() error {
	return &rp.Problem{Kind: rp.NoSuitableAccount, Detail: "no account of this level"}
}

// newSession draws a session, and what follows from its request alone.
func (e *Engine) newSession(ctx context.Context, r rp.Request, all []accounts.Account) (s session, err error) {
	s = session{ID: rp.NewSessionID(), Request: r, Callback: r.CallbackURL}
	switch {
	case r.Kind == rp.CertificateChoice || r.Flow != rp.Notification:
	case r.Version != rp.V3:
		s.Code = protocol.VerificationCode(r.Digest)
	case r.Kind == rp.Authentication:
		challenge, err := base64.StdEncoding.DecodeString(r.Challenge)
		if err != nil {
			return s, fmt.Errorf("transactions: rpChallenge: %w", err)
		}
		s.Code = protocol.VerificationCode(challenge)
	default:
		s.Code = protocol.RandomCode()
	}
	if r.Flow == rp.DeviceLink {
		s.Token, s.secret = devicelink.NewToken(), devicelink.NewSecret()
		s.Digest = s.secret.Digest()
		return s, nil // whoever opens the link takes part
	}
	s.Several = len(all) > 1
	for _, a := range all {
		s.Accounts = append(s.Accounts, account{Document: a.Document, Stage: invited})
	}
	if r.Kind == rp.CertificateChoice && len(all) == 1 {
		// There is nothing to choose: it is answered at once.
		why, err := e.unusable(ctx, all[0], ca.Signature)
		if err != nil {
			return s, err
		}
		s.Outcome = &rp.Outcome{End: rp.OK, Document: all[0].Document, Certificate: all[0].Key(ca.Signature).Certificate, Flow: rp.FlowNotification}
		if why != 0 {
			s.Outcome = &rp.Outcome{End: why}
		}
	}
	return s, nil
}

// begin does the part of a beginning that depends on other sessions.
func (e *Engine) begin(ctx context.Context, tx *sql.Tx, s session, all []accounts.Account) (session, error) {
	now := s.Began
	s.Deadline = now.Add(e.life)
	if s.Request.Flow == rp.DeviceLink {
		s.Deadline = now.Add(e.linkLife)
	}
	if s.Request.Flow == rp.Linked {
		return e.follow(ctx, tx, s)
	}
	if s.Outcome != nil {
		s.Completed = now
		return s, nil
	}
	if s.Request.Flow == rp.DeviceLink {
		return s, nil
	}
	s.Accounts = slices.Clone(s.Accounts)
	for _, a := range all {
		waits, err := awaiting(ctx, tx, a.Document, now)
		if err != nil {
			return s, err
		}
		if waits {
			if s, err = next(s, event{kind: drops, document: a.Document, why: rp.ExpectedLinkedSession}, now); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// follow ties a linked signature to the choice of a certificate before it.
func (e *Engine) follow(ctx context.Context, tx *sql.Tx, s session) (session, error) {
	refused := &rp.Problem{Kind: rp.Invalid, Pointer: "/linkedSessionID", Detail: "is not a session that a signature can follow"}
	choice, err := e.store.lock(ctx, tx, s.Request.LinkedSession)
	if errors.Is(err, ErrNotFound) {
		return s, refused
	}
	if err != nil {
		return s, err
	}
	r := choice.Request
	if r.Kind != rp.CertificateChoice || r.Flow != rp.DeviceLink || r.RelyingPartyUUID != s.Request.RelyingPartyUUID ||
		choice.Outcome == nil || choice.Outcome.End != rp.OK || choice.Outcome.Document != documentOf(s) || choice.Linked || forgotten(choice, s.Began) {
		return s, refused
	}
	s.Callback, s.Digest = choice.Callback, choice.Digest
	followed := choice
	followed.Awaits, followed.Linked = time.Time{}, true
	return s, e.store.update(ctx, tx, choice, followed)
}

func documentOf(s session) identity.Document {
	if s.Request.Target.Document == nil {
		return identity.Document{}
	}
	return *s.Request.Target.Document
}

// Certificate answers a request whose Kind is rp.Certificate: the signing certificate of
// an account, at once. It ends with OK or with DocumentUnusable. Errors that the relying
// party may know are an [*rp.Problem].
func (e *Engine) Certificate(ctx context.Context, r rp.Request, source rp.Source) (rp.Outcome, error) {
	if err := e.ready(ctx); err != nil {
		return rp.Outcome{}, err
	}
	if r.Kind != rp.Certificate || r.Target.Document == nil {
		return rp.Outcome{}, errors.New("transactions: not a request for a certificate")
	}
	if err := e.authenticate(ctx, r, source); err != nil {
		return rp.Outcome{}, err
	}
	if err := e.allow(ctx, r, source); err != nil {
		return rp.Outcome{}, err
	}
	all, err := e.find(ctx, r)
	if err != nil {
		return rp.Outcome{}, err
	}
	why, err := e.unusable(ctx, all[0], ca.Signature)
	switch {
	case err != nil:
		return rp.Outcome{}, err
	case why != 0:
		return rp.Outcome{End: why}, nil
	}
	return rp.Outcome{End: rp.OK, Document: all[0].Document, Certificate: all[0].Key(ca.Signature).Certificate}, nil
}

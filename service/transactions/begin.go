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
	// What is likely to be a known relying party's is tried at once, and looked at if it
	// fails. All else is looked at first: strangers cost no transaction that writes.
	looks, old := !e.likely(r, source), false
	var only *single
	var refused error
	for try := 0; ; try++ {
		if looks {
			before, err := e.before(ctx, r, source)
			if err != nil {
				return rp.Session{}, err
			}
			if before.repeated {
				again, err := e.answerAgain(ctx, before.equal)
				return e.answer(again), err
			}
			if refused != nil {
				return rp.Session{}, refused
			}
			old = before.old
		}
		begun, err := e.start(ctx, r, source, only, old)
		switch {
		case err == nil:
			return e.answer(begun), nil
		case try == tries:
			return rp.Session{}, err
		case errors.Is(err, errTaken): // by an equal request, which is found now
			looks = true
		case errors.As(err, &only):
			if only.why, err = e.unusable(ctx, only.account, ca.Signature); err != nil {
				return rp.Session{}, err
			}
		case looks:
			return rp.Session{}, err
		default: // an equal request may have a session all the same
			looks, refused = true, err
		}
	}
}

const tries = 4

// start begins a session in one transaction: who asks, the quotas, who is asked, the
// session. An old one for the same request gives its place up. A place in the quotas is
// taken before it is known whether there is such a person, and stays taken if there is
// none.
func (e *Engine) start(ctx context.Context, r rp.Request, source rp.Source, only *single, old bool) (begun session, err error) {
	var refused error
	err = e.allowed(ctx, r, source, func(tx *sql.Tx) error {
		begun, refused = session{}, nil
		ctx := e.db.Within(ctx, tx)
		if err := e.authenticate(ctx, r, source); err != nil {
			return err
		}
		var err error
		begun, err = e.startWithin(ctx, tx, r, only, old)
		var known *rp.Problem
		if errors.As(err, &known) {
			refused = err
			return nil
		}
		return err
	})
	if err == nil {
		err = refused
	}
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

func (e *Engine) startWithin(ctx context.Context, tx *sql.Tx, r rp.Request, only *single, old bool) (session, error) {
	all, err := e.find(ctx, r)
	if err != nil {
		return session{}, err
	}
	s, err := e.newSession(r, all, only)
	if err != nil {
		return s, err
	}
	s.Began = e.now()
	s.Answered = s.Began
	if old {
		if err := release(ctx, tx, r.Key, s.Began.Add(-rp.IdempotencePeriod)); err != nil {
			return s, err
		}
	}
	if s, err = e.begin(ctx, tx, s, all); err != nil {
		return s, err
	}
	return s, e.write(ctx, tx, session{}, s)
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
		var err error
		b.equal, err = e.store.earlier(ctx, r.Key)
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

// single is the key of the one account of a person whose certificate is to be chosen, and
// why it is of no use, if so. The store of the keys is asked for that, and not while the
// database is locked: so it ends a beginning, as an error, and is known to the next one.
type single struct {
	account accounts.Account
	why     rp.End
}

func (*single) Error() string { return "transactions: an account is looked at first" }

// newSession draws a session, and what follows from its request alone.
func (e *Engine) newSession(r rp.Request, all []accounts.Account, only *single) (s session, err error) {
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
		key := all[0].Key(ca.Signature)
		if only == nil || only.account.Key(ca.Signature).ID != key.ID {
			return s, &single{account: all[0]}
		}
		s.Outcome = &rp.Outcome{End: rp.OK, Document: all[0].Document, Certificate: key.Certificate, Flow: rp.FlowNotification}
		if only.why != 0 {
			s.Outcome = &rp.Outcome{End: only.why}
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

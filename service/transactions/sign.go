package transactions

import (
	"bytes"
	"context"
	"crypto/rsa"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Signing is what became of a phone's request to sign.
type Signing struct {
	// Response is for the phone's [device.Device], which alone can read it.
	Response []byte
	// Done says that the session has ended with the signature of this account; End how
	// else it ended, 0 if it has not.
	Done bool
	End  rp.End
}

// Sign gives a phone's request to sign to the server of the protocol. If the signature is
// made, the session has it when Sign returns: see [Engine.Signed]. A key that is locked
// or destroyed now takes the account out of the session. A phone that heard no answer
// calls Sign again with the same request.
//
// Nothing is tried for a session that has ended otherwise, or for which the account
// cannot sign now: errors are those of this package, and [server.ErrRefused].
func (e *Engine) Sign(ctx context.Context, a accounts.Account, id string, request []byte) (*Signing, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	s, err := e.look(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	own := len(s.signed().Challenge) > 0 && s.Outcome.Document == a.Document
	switch stage := s.stageOf(a.Document); {
	case stage == absent:
		return nil, ErrNotFound
	case s.Outcome != nil && !own:
		return nil, ErrGone
	case stage == out:
		return nil, &UnusableError{s.whyOf(a.Document)}
	case stage != signing:
		return nil, ErrOrder
	}
	var ended session // in Signed, if the signature was made
	response, err := e.protocol.Handle(context.WithValue(ctx, hintKey{}, hint{id, a.Document, &ended}), request)
	if err != nil {
		return nil, err
	}
	// The attempt is counted: what follows is told though the phone has hung up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	if s = ended; s.ID != id {
		if s, err = e.settle(ctx, a, id); err != nil {
			return nil, err
		}
	}
	done := &Signing{Response: response}
	if s.Outcome != nil {
		done.Done = s.Outcome.End == rp.OK && s.Outcome.Document == a.Document
		if !done.Done {
			done.End = s.Outcome.End
		}
	}
	return done, nil
}

// hint is what Sign has in its context for Signed, which the server calls: what session
// the signature is for, if it is, and where to leave that when it has ended.
type hint struct {
	id       string
	document identity.Document
	ended    *session
}

type hintKey struct{}

// afterwards is how long the service tries to write down what came of a signature.
const afterwards = 15 * time.Second

// settle takes an account out of a session if its key makes no more signatures now.
func (e *Engine) settle(ctx context.Context, a accounts.Account, id string) (s session, err error) {
	if s, err = e.store.load(ctx, id); err != nil || s.Outcome != nil {
		return s, err
	}
	why, err := e.unusable(ctx, a, useOf(s.Request.Kind))
	if err != nil || why == 0 {
		return s, err
	}
	return e.event(ctx, id, event{kind: drops, document: a.Document, why: why})
}

func (s session) whyOf(d identity.Document) rp.End {
	for _, a := range s.Accounts {
		if a.Document == d {
			return a.Why
		}
	}
	return 0
}

// Signed belongs into the Config.Signed of the server. It gives a session its signature,
// in one step with its result: nil means that this is durable, or that nobody waits for
// the signature any more. Of several that devices make for one session the first counts,
// and each counts once, whenever and however often it comes. With an error the server
// tells the phone to send its request again.
func (e *Engine) Signed(ctx context.Context, s server.Signed) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	// The PIN was counted: that the phone has hung up does not take the signature away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	likely, hinted := ctx.Value(hintKey{}).(hint)
	var document identity.Document
	find := func(ctx context.Context, tx *sql.Tx) (session, error) {
		if hinted {
			x, err := e.store.lock(ctx, tx, likely.id)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return x, err
			}
			if len(s.Challenge) > 0 && bytes.Equal(x.claimOf(likely.document).Challenge, s.Challenge) {
				document = likely.document
				return x, nil
			}
		}
		id, d, err := sessionOfChallenge(ctx, tx, s.Challenge)
		if err != nil {
			return session{}, err
		}
		document = d
		return e.store.lock(ctx, tx, id)
	}
	ended, err := e.change(ctx, find, func(_ context.Context, _ *sql.Tx, x session, now time.Time) (session, error) {
		ev := event{kind: signs, document: document, challenge: s.Challenge}
		// The challenge is bound to the digest and the hash; the length of a salt is not.
		if pss, ok := s.Options.(*rsa.PSSOptions); len(s.Signatures) != 1 || ok && pss.SaltLength != x.Request.Algorithm.Hash.Size() {
			ev = event{kind: drops, document: document, why: rp.ProtocolFailure}
		} else {
			ev.signature = s.Signatures[0]
		}
		return next(x, ev, now)
	})
	var unusable *UnusableError
	switch {
	case err == nil:
		if hinted && ended.Outcome != nil {
			*likely.ended = ended
		}
		return nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrGone), errors.Is(err, ErrOrder), errors.As(err, &unusable):
		e.log.LogAttrs(ctx, slog.LevelInfo, "a signature that nobody waits for", slog.String("session", ended.ID), slog.String("reason", err.Error()))
		return nil
	}
	return err
}

package transactions

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp"
)

// Status returns a session as it is: when it has ended, or at the latest after wait. It
// returns a running session, and no error, if ctx ends before. Whoever knows the id may
// ask, from where its relying party may. Errors that the relying party may know are an
// [*rp.Problem].
func (e *Engine) Status(ctx context.Context, id string, wait time.Duration, source rp.Source) (rp.Status, error) {
	if err := e.ready(ctx); err != nil {
		return rp.Status{}, err
	}
	id, ok := rp.UUID(id)
	if !ok {
		return rp.Status{}, noSession()
	}
	var s session
	admitted := false
	err := e.await(ctx, topicSession, id, wait, func(ctx context.Context) (bool, time.Time, error) {
		var err error
		s, err = e.look(ctx, id, func(ctx context.Context, s session) error {
			if admitted {
				return nil
			}
			return e.admitSource(ctx, s, source)
		})
		admitted = true // or it ends here
		return s.Outcome != nil, s.Deadline, err
	})
	if errors.Is(err, ErrNotFound) {
		err = noSession()
	}
	if err != nil {
		return rp.Status{}, err
	}
	out := rp.Status{Request: &s.Request, Outcome: s.Outcome}
	if s.Request.ShareIP {
		out.DeviceIP = s.signed().Address
	}
	return out, nil
}

func noSession() error { return &rp.Problem{Kind: rp.NotFound, Detail: "no such session"} }

// look reads a session, and ends it if its time is up. admit, if not nil, may refuse.
func (e *Engine) look(ctx context.Context, id string, admit func(context.Context, session) error) (s session, err error) {
	s, err = e.store.load(ctx, id)
	now := e.now()
	if err == nil && forgotten(s, now) {
		err = ErrNotFound
	}
	if err == nil && admit != nil {
		err = admit(ctx, s)
	}
	if err == nil && s.Outcome == nil && !now.Before(s.Deadline) {
		return e.event(ctx, id, event{kind: drops})
	}
	return s, err
}

// await calls look at once, when a topic is woken, and at the time that look returns,
// until look has done, or for a while. That ctx ends after the first look is no error.
func (e *Engine) await(ctx context.Context, topic, key string, wait time.Duration, look func(context.Context) (done bool, at time.Time, err error)) error {
	if wait <= 0 {
		_, _, err := look(ctx)
		return err
	}
	end := time.Now().Add(wait)
	looked := false
	for {
		limited, cancel := context.WithDeadline(ctx, end)
		timer := time.AfterFunc(wait, cancel)
		// It looks under ctx: the end of the wait does not cut a look short.
		err := e.db.Wait(limited, topic, key, func(context.Context) (bool, error) {
			looked = true
			done, at, err := look(ctx)
			if !done && err == nil && !at.IsZero() {
				timer.Reset(max(at.Sub(e.now()), time.Millisecond))
			}
			return done, err
		})
		timer.Stop()
		over := limited.Err() != nil && errors.Is(err, limited.Err())
		cancel()
		switch {
		case !over:
			return err
		case ctx.Err() != nil || !time.Now().Before(end):
			if !looked {
				_, _, err = look(ctx)
				return err
			}
			return nil
		}
	}
}

// Pending is a session that a phone may open.
type Pending struct {
	Session      string
	Kind         rp.Kind
	RelyingParty string // the name
	Deadline     time.Time
}

// Poll returns the oldest session that an account has to answer; nil if there is none. It
// waits, at most for wait, as long as that is the one whose id is known; "" is none. So a
// phone learns that there is something to do, and that what it shows has gone.
func (e *Engine) Poll(ctx context.Context, a accounts.Account, known string, wait time.Duration) (*Pending, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	var found *Pending
	look := func(ctx context.Context) (bool, time.Time, error) {
		var err error
		if found, err = e.pending(ctx, a.Document); err != nil || found == nil {
			return known != "", time.Time{}, err
		}
		return found.Session != known, found.Deadline, nil
	}
	return found, e.await(ctx, topicAccount, a.Document.String(), wait, look)
}

// pending returns the oldest session that an account has to answer, or nil.
func (e *Engine) pending(ctx context.Context, d identity.Document) (found *Pending, err error) {
	s, err := e.store.oldest(ctx, d, e.now())
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e.kinds.Put(s.ID, s.Request.Kind)
	return &Pending{s.ID, s.Request.Kind, s.Request.RelyingPartyName, s.Deadline}, nil
}

// Run ends sessions whose time is up and forgets old ones, every few seconds until ctx
// ends. One node at least must run it. What fails is logged, and tried again.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	t := time.NewTicker(sweepInterval)
	defer t.Stop()
	for {
		if err := e.Sweep(ctx); err != nil && ctx.Err() == nil {
			e.log.LogAttrs(ctx, slog.LevelError, "sessions were not swept", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

const sweepInterval = 5 * time.Second

// Sweep ends sessions whose time is up and forgets old ones, once.
func (e *Engine) Sweep(ctx context.Context) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	var late []string
	err := e.db.Read(ctx, func(tx *sql.Tx) (err error) {
		late, err = overdue(ctx, tx, e.now())
		return err
	})
	for _, id := range late {
		if err == nil {
			_, err = e.event(ctx, id, event{kind: drops})
		}
	}
	if err != nil {
		return err
	}
	return e.db.Tx(ctx, func(tx *sql.Tx) error {
		now := e.now()
		return forget(ctx, tx, now.Add(-Retention), now)
	})
}

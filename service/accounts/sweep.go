package accounts

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/ca"
)

const (
	// sweepPage is how many rows of a kind a sweep takes at once.
	sweepPage = 100
	// challengeOver is after the end of every challenge for an enrolment that was handed
	// out: an hour at most, and clocks may differ.
	challengeOver = 2 * time.Hour
	// keepEvents is how long an event that comes again is known. Events come again soon,
	// but a record whose server was lost for long may hold some.
	keepEvents = 400 * 24 * time.Hour
	keepFailed = 90 * 24 * time.Hour
)

// Sweep does what time or a crash has left to do: accounts expire; keys and certificates
// of those that have ended, and certificates of keys that were destroyed, are destroyed
// and revoked; enrolments that came to nothing go, with their keys. Call it every minute
// or so on one node or several; Run does. It goes on after an error, and returns all.
func (a *Accounts) Sweep(ctx context.Context) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	now := a.now()
	var errs []error
	for _, step := range []func() error{
		func() error { return a.expire(ctx, now) },
		func() error { return a.cleanEnded(ctx) },
		func() error { return a.revokeDestroyed(ctx) },
		func() error { return a.dropEnrolments(ctx, now) },
		func() error { return a.destroyDropped(ctx, now) },
		func() error {
			_, err := a.db.Exec(ctx, "DELETE FROM key_events WHERE at < $1", millis(now.Add(-keepEvents)))
			return err
		},
		func() error {
			_, err := a.db.Exec(ctx, "DELETE FROM notices WHERE failed > 0 AND failed < $1", millis(now.Add(-keepFailed)))
			return err
		},
		func() error { return a.quotas.code.Sweep(ctx) },
	} {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if err := step(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Run sweeps every minute, and as soon as a key is destroyed, until ctx ends, whose error
// it returns.
func (a *Accounts) Run(ctx context.Context) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	const every = time.Minute
	for ctx.Err() == nil {
		if err := a.Sweep(ctx); err != nil && ctx.Err() == nil {
			a.config.Log.ErrorContext(ctx, "sweeping accounts", "cause", err.Error())
		}
		wait, cancel := context.WithTimeout(ctx, every)
		first := true
		err := a.db.Wait(wait, topicDestroyed, "", func(ctx context.Context) (bool, error) {
			if first { // what Sweep has just left
				first = false
				return false, nil
			}
			keys, err := a.destroyed(ctx)
			return len(keys) > 0, err
		})
		if err != nil {
			<-wait.Done()
		}
		cancel()
	}
	return ctx.Err()
}

// list reads the texts of one column.
func (a *Accounts) list(ctx context.Context, query string, args ...any) (out []string, err error) {
	err = a.db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s string
			if err := rows.Scan(&s); err != nil {
				return err
			}
			out = append(out, s)
		}
		return rows.Err()
	})
	return out, err
}

// each calls f for all of a list, and returns every error.
func each(list []string, f func(string) error) error {
	var errs []error
	for _, s := range list {
		if err := f(s); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (a *Accounts) expire(ctx context.Context, now time.Time) error {
	over, err := a.list(ctx, "SELECT document FROM accounts WHERE state IN ('active', 'suspended') AND expires <= $1 ORDER BY expires LIMIT $2", millis(now), sweepPage)
	if err != nil {
		return err
	}
	return each(over, func(document string) error {
		return a.db.Tx(ctx, func(tx *sql.Tx) error {
			_, err := a.endIn(ctx, tx, document, ByAge)
			return err
		})
	})
}

func (a *Accounts) cleanEnded(ctx context.Context) error {
	ended, err := a.list(ctx, "SELECT document FROM accounts WHERE cleaned = 0 AND ended > 0 ORDER BY ended LIMIT $1", sweepPage)
	if err != nil {
		return err
	}
	return each(ended, func(document string) error { return a.cleanUp(ctx, document) })
}

// destroyed returns the ids of keys that were destroyed, and whose certificates were not
// revoked for that yet.
func (a *Accounts) destroyed(ctx context.Context) (out []destroyedKey, err error) {
	err = a.db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, "SELECT id, certificate FROM account_keys WHERE revoked = 0 AND destroyed > 0 AND state = 'current' LIMIT $1", sweepPage)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k destroyedKey
			if err := rows.Scan(&k.id, &k.certificate); err != nil {
				return err
			}
			out = append(out, k)
		}
		return rows.Err()
	})
	return out, err
}

type destroyedKey struct{ id, certificate []byte }

func (a *Accounts) revokeDestroyed(ctx context.Context) error {
	keys, err := a.destroyed(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, k := range keys {
		err := a.revoke(ctx, k.certificate, ca.KeyCompromise)
		if err == nil {
			_, err = a.db.Exec(ctx, "UPDATE account_keys SET revoked = $1 WHERE id = $2", millis(a.now()), k.id)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// dropEnrolments drops those whose time is over, and the keys that were offered to any.
func (a *Accounts) dropEnrolments(ctx context.Context, now time.Time) error {
	return a.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE account_keys SET state = 'dropped' WHERE state = 'offered' AND offered < $1", millis(now.Add(-begunLife-time.Hour))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM enrolments WHERE expires <= $1", millis(now))
		return err
	})
}

// destroyDropped destroys keys that nobody uses, once nobody can enrol them any more and
// their enrolment is over, and revokes the certificates that they got all the same.
func (a *Accounts) destroyDropped(ctx context.Context, now time.Time) error {
	type droppedKey struct {
		id       []byte
		document string
	}
	var keys []droppedKey
	err := a.db.Read(ctx, func(tx *sql.Tx) error {
		keys = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, document FROM account_keys WHERE state = 'dropped' AND offered < $1
AND NOT EXISTS (SELECT 1 FROM enrolments WHERE enrolments.document = account_keys.document AND enrolments.state = 'begun') LIMIT $2`,
			millis(now.Add(-challengeOver)), sweepPage)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k droppedKey
			if err := rows.Scan(&k.id, &k.document); err != nil {
				return err
			}
			keys = append(keys, k)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, k := range keys {
		if len(k.id) != protocol.KeyIDSize {
			errs = append(errs, errDamaged)
			continue
		}
		err := a.config.Keys.Revoke(ctx, protocol.KeyID(k.id), "it was offered to an enrolment that came to nothing")
		if err == nil || errors.Is(err, server.ErrUnknownKey) {
			err = a.revokeUnused(ctx, k.document)
		}
		if err == nil {
			_, err = a.db.Exec(ctx, "DELETE FROM account_keys WHERE id = $1 AND state = 'dropped'", k.id)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// revokeUnused revokes the certificates of a document number that are not of the keys of
// its account: of dropped keys, and those that a crash has left. No enrolment of it is
// under way.
func (a *Accounts) revokeUnused(ctx context.Context, document string) error {
	used := map[string]bool{}
	var unused [][]byte
	err := a.db.Read(ctx, func(tx *sql.Tx) error {
		clear(used)
		unused = nil
		rows, err := tx.QueryContext(ctx, "SELECT certificate, state FROM account_keys WHERE document = $1 AND certificate IS NOT NULL", document)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var der []byte
			var state string
			if err := rows.Scan(&der, &state); err != nil {
				return err
			}
			if state == current {
				used[string(der)] = true
			} else {
				unused = append(unused, der)
			}
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	if a.config.Issued != nil {
		records, err := a.config.Issued.Issued(ctx, document)
		if err != nil {
			return err
		}
		for _, r := range records {
			unused = append(unused, r.DER)
		}
	}
	for _, der := range unused {
		if used[string(der)] {
			continue
		}
		if err := a.revoke(ctx, der, ca.Superseded); err != nil {
			return err
		}
	}
	return nil
}

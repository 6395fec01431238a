package accounts

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
)

// End ends an account for ever: nobody can use it any more, its keys are destroyed and
// its certificates revoked. One that has ended stays as it is, and what is left of its
// keys and certificates is destroyed. The error is ErrNotFound, or ErrRequest for a cause
// that is not the caller's to give; it wraps ErrUnfinished if the account has ended, and
// some of the rest has to be done again.
func (a *Accounts) End(ctx context.Context, document identity.Document, cause Cause) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	switch cause {
	case ByOwner, ByRegistrar, ByMistake:
	default:
		return fmt.Errorf("%w: the cause %q", ErrRequest, cause)
	}
	return a.end(ctx, document.String(), cause)
}

// EndByCode ends the account that a revocation code is of, and returns its document
// number. The error is ErrCode for another code, a [*quota.Later] if there were too many
// tries, or as of End.
func (a *Accounts) EndByCode(ctx context.Context, code, source string) (identity.Document, error) {
	if err := a.ready(ctx); err != nil {
		return identity.Document{}, err
	}
	if err := a.allowCode(ctx, source); err != nil {
		return identity.Document{}, err
	}
	read, ok := readCode(code)
	if !ok {
		return identity.Document{}, ErrCode
	}
	var document string
	err := a.db.Read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT document FROM accounts WHERE revocation = $1", a.mac("revocation", read)).Scan(&document)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return identity.Document{}, ErrCode
	}
	if err != nil {
		return identity.Document{}, err
	}
	d, err := identity.ParseDocument(document)
	if err != nil {
		return identity.Document{}, err
	}
	return d, a.end(ctx, document, ByCode)
}

func (a *Accounts) end(ctx context.Context, document string, cause Cause) error {
	err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		_, err := a.endIn(ctx, tx, document, cause)
		return err
	})
	if err != nil {
		return err
	}
	return a.cleanUp(ctx, document)
}

// endIn ends an account in a transaction, and reports whether it had not ended before.
func (a *Accounts) endIn(ctx context.Context, tx *sql.Tx, document string, cause Cause) (bool, error) {
	d, err := identity.ParseDocument(document)
	if err != nil {
		return false, err
	}
	now, state := a.now(), Deleted
	if cause == ByAge {
		state = Expired
	}
	result, err := tx.ExecContext(ctx, "UPDATE accounts SET state = $1, cause = $2, ended = $3, revocation = NULL, version = $5 WHERE document = $4 AND state IN ('active', 'suspended')",
		string(state), string(cause), millis(now), document, newVersion())
	if err != nil {
		return false, err
	}
	if rows, err := result.RowsAffected(); err != nil {
		return false, err
	} else if rows == 0 {
		var there int
		err := tx.QueryRowContext(ctx, "SELECT count(*) FROM accounts WHERE document = $1", document).Scan(&there)
		if err == nil && there == 0 {
			err = ErrNotFound
		}
		return false, err
	}
	// A phone that this one approved, perhaps in a thief's hand, does not take its place.
	if _, err := tx.ExecContext(ctx, "UPDATE enrolments SET expires = 0 WHERE request IS NOT NULL AND replaces = $1 AND state IN ('approved', 'begun')", document); err != nil {
		return false, err
	}
	for _, f := range a.onEnd {
		if err := f(ctx, tx, d); err != nil {
			return false, err
		}
	}
	if err := addHistory(ctx, tx, d, Entry{Kind: string(notices.AccountEnded), Result: string(cause)}, now); err != nil {
		return false, err
	}
	return true, a.notify(ctx, tx, d, notices.Notice{Kind: notices.AccountEnded, Cause: string(cause)})
}

// Suspend keeps an account from being used until Resume. The error is ErrNotFound, or
// ErrEnded.
func (a *Accounts) Suspend(ctx context.Context, document identity.Document) error {
	return a.change(ctx, document, Active, Suspended)
}

// Resume undoes Suspend.
func (a *Accounts) Resume(ctx context.Context, document identity.Document) error {
	return a.change(ctx, document, Suspended, Active)
}

func (a *Accounts) change(ctx context.Context, document identity.Document, from, to State) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	return a.db.Tx(ctx, func(tx *sql.Tx) error {
		var state State
		err := tx.QueryRowContext(ctx, "SELECT state FROM accounts WHERE document = $1", document.String()).Scan(&state)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return ErrNotFound
		case err != nil:
			return err
		case state == to:
			return nil
		case state != from:
			return ErrEnded
		}
		if _, err := tx.ExecContext(ctx, "UPDATE accounts SET state = $1, version = $3 WHERE document = $2", string(to), document.String(), newVersion()); err != nil {
			return err
		}
		return addHistory(ctx, tx, document, Entry{Kind: "account " + string(to)}, a.now())
	})
}

// cleanUp destroys the keys of an account that has ended, and revokes its certificates.
// It may be called again.
func (a *Accounts) cleanUp(ctx context.Context, document string) error {
	if err := a.clean(ctx, document); err != nil {
		return fmt.Errorf("%w: %w", ErrUnfinished, err)
	}
	return nil
}

func (a *Accounts) clean(ctx context.Context, document string) error {
	var cause Cause
	var cleaned int64
	type key struct {
		id          protocol.KeyID
		certificate []byte
	}
	var keys []key
	err := a.db.Read(ctx, func(tx *sql.Tx) error {
		keys = nil
		err := tx.QueryRowContext(ctx, "SELECT cause, cleaned FROM accounts WHERE document = $1 AND ended > 0", document).Scan(&cause, &cleaned)
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, "SELECT id, certificate FROM account_keys WHERE document = $1", document)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k key
			var id []byte
			if err := rows.Scan(&id, &k.certificate); err != nil {
				return err
			}
			if len(id) != len(k.id) {
				return errDamaged
			}
			copy(k.id[:], id)
			keys = append(keys, k)
		}
		return rows.Err()
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil // it has not ended
	}
	if err != nil || cleaned != 0 {
		return err
	}
	certificates := make([][]byte, 0, len(keys))
	for _, k := range keys {
		if err := a.config.Keys.Revoke(ctx, k.id, "the account "+document+" has ended: "+string(cause)); err != nil && !errors.Is(err, server.ErrUnknownKey) {
			return err
		}
		if k.certificate != nil {
			certificates = append(certificates, k.certificate)
		}
	}
	if a.config.Issued != nil { // what a crash left that no key is known for
		records, err := a.config.Issued.Issued(ctx, document)
		if err != nil {
			return err
		}
		for _, r := range records {
			certificates = append(certificates, r.DER)
		}
	}
	for _, der := range certificates {
		if err := a.revoke(ctx, der, reasons[cause]); err != nil {
			return err
		}
	}
	_, err = a.db.Exec(ctx, "UPDATE accounts SET cleaned = $1 WHERE document = $2", millis(a.now()), document)
	return err
}

// revoke revokes a certificate, unless it has expired.
func (a *Accounts) revoke(ctx context.Context, der []byte, reason ca.Reason) error {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("accounts: damaged certificate: %w", err)
	}
	if a.now().After(c.NotAfter) {
		return nil
	}
	return a.config.Issuer.Revoke(ctx, c, reason)
}

// notify gives notice of what happened to an account.
func (a *Accounts) notify(ctx context.Context, tx *sql.Tx, document identity.Document, n notices.Notice) error {
	if a.config.Notices == nil {
		return nil
	}
	n.At = a.now()
	return addNotice(ctx, tx, a.config.Notices, document.String(), n)
}

// addNotice adds what the notice of an account says of its person.
func addNotice(ctx context.Context, tx *sql.Tx, outbox *notices.Outbox, document string, n notices.Notice) error {
	var given, surname string
	err := tx.QueryRowContext(ctx, `SELECT a.person, a.device, p.given, p.surname, p.email FROM accounts a JOIN persons p ON p.id = a.person
WHERE a.document = $1`, document).Scan(&n.Person, &n.Device, &given, &surname, &n.Email)
	if err != nil {
		return err
	}
	n.Document, n.Name = document, given+" "+surname
	return outbox.Add(ctx, tx, n)
}

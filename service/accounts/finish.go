package accounts

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
)

// Opened is an account that has begun.
type Opened struct {
	Account Account
	// RevocationCode ends the account, from any browser. It is shown to the person, who
	// keeps it apart from the phone, and is not kept here. It is empty if the account has
	// ended meanwhile.
	RevocationCode string `json:"-"`
}

// Format hides the revocation code.
func (o Opened) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "accounts.Opened(%v)", o.Account.Document)
}

// Finish ends an enrolment: both keys are certified, and the account is active; accounts
// that it replaces have ended. Called again within 15 minutes, since the answer was lost,
// it gives the account with another revocation code in place of the first. The error is
// ErrUnconfirmed while a key is not confirmed, or has died: Continue says which; ErrCode
// for a token without an enrolment that lasts, which is so after those 15 minutes, too.
func (a *Accounts) Finish(ctx context.Context, token string) (Opened, error) {
	if err := a.ready(ctx); err != nil {
		return Opened{}, err
	}
	hash, err := hashToken(token)
	if err != nil {
		return Opened{}, ErrCode
	}
	e, err := a.beginApproved(ctx, hash)
	if err != nil {
		return Opened{}, err
	}
	if e.state != opened {
		if err := a.open(ctx, e); err != nil {
			return Opened{}, err
		}
	}
	code, err := a.newRevocationCode(ctx, e)
	if err != nil {
		return Opened{}, err
	}
	// What fails of this, Sweep goes on with.
	ended, err := a.list(ctx, "SELECT document FROM accounts WHERE person = $1 AND ended > 0 AND cleaned = 0", e.person)
	if err == nil {
		err = each(ended, func(document string) error { return a.cleanUp(ctx, document) })
	}
	if err != nil {
		a.config.Log.WarnContext(ctx, "replaced accounts are not cleaned up yet", "document", e.document, "cause", err.Error())
	}
	account, err := a.one(ctx, "WHERE a.document = $1", e.document)
	return Opened{account, code}, err
}

// open certifies the keys of an enrolment and makes the account.
func (a *Accounts) open(ctx context.Context, e enrolment) error {
	document, person, err := e.parsed()
	if err != nil {
		return err
	}
	var keys map[ca.Use]offered
	if err := a.db.Read(ctx, func(tx *sql.Tx) (err error) {
		keys, _, err = offers(ctx, tx, e.document)
		return err
	}); err != nil {
		return err
	}
	var public [2]*rsa.PublicKey
	for i, use := range uses {
		k, ok := keys[use]
		if !ok {
			return ErrUnconfirmed
		}
		s, err := a.config.Keys.Status(ctx, k.id)
		if errors.Is(err, server.ErrUnknownKey) || err == nil && s.Condition != server.Active {
			return ErrUnconfirmed
		}
		if err != nil {
			return err
		}
		public[i] = s.PublicKey
	}
	expires := time.Time{}
	for i, use := range uses {
		c, err := a.certify(ctx, keys[use], ca.Request{Use: use, Person: person, Document: document, Key: public[i]})
		if err != nil {
			return err
		}
		if expires.IsZero() || c.NotAfter.Before(expires) {
			expires = c.NotAfter
		}
	}
	return a.db.Tx(ctx, func(tx *sql.Tx) error { return a.openIn(ctx, tx, e, keys, person, document, expires) })
}

// certify returns the certificate of a key. What a crash has left of that is used: a
// certificate that was issued, and not written down with the key.
func (a *Accounts) certify(ctx context.Context, k offered, r ca.Request) (*x509.Certificate, error) {
	if k.certificate != nil {
		return x509.ParseCertificate(k.certificate)
	}
	c, err := a.issued(ctx, r)
	if err != nil {
		return nil, err
	}
	if c == nil {
		chain, err := a.config.Issuer.Issue(ctx, r)
		if err != nil {
			return nil, err
		}
		if len(chain) == 0 || chain[0] == nil {
			return nil, errors.New("accounts: the issuer returned no certificate")
		}
		c = chain[0]
	}
	var kept []byte
	if err := a.db.Tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE account_keys SET certificate = $1 WHERE id = $2 AND certificate IS NULL", c.Raw, k.id[:]); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT certificate FROM account_keys WHERE id = $1", k.id[:]).Scan(&kept)
	}); err != nil {
		return nil, err
	}
	if bytes.Equal(kept, c.Raw) {
		return c, nil
	}
	// Another call was first.
	if err := a.config.Issuer.Revoke(ctx, c, ca.Superseded); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(kept)
}

// issued returns the certificate that a request has led to before, or nil.
func (a *Accounts) issued(ctx context.Context, r ca.Request) (*x509.Certificate, error) {
	if a.config.Issued == nil {
		return nil, nil
	}
	records, err := a.config.Issued.Issued(ctx, r.Document.String())
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		c, err := x509.ParseCertificate(record.DER)
		if err != nil {
			return nil, fmt.Errorf("accounts: damaged certificate %v: %w", record.Serial, err)
		}
		usage := x509.KeyUsageDigitalSignature
		if r.Use == ca.Signature {
			usage = x509.KeyUsageContentCommitment
		}
		if record.Revoked == nil && c.KeyUsage&usage != 0 && r.Key.Equal(c.PublicKey) {
			return c, nil
		}
	}
	return nil, nil
}

// openIn makes the account, unless another call was first.
func (a *Accounts) openIn(ctx context.Context, tx *sql.Tx, was enrolment, keys map[ca.Use]offered, person identity.Person, document identity.Document, expires time.Time) error {
	e, err := a.find(ctx, tx, "token", was.token)
	if err != nil || e.state == opened {
		return err
	}
	if e.state != begun || e.document != was.document {
		return ErrCode
	}
	// The keys that were certified are still those that are offered.
	if now, _, err := offers(ctx, tx, e.document); err != nil {
		return err
	} else if now[uses[0]].id != keys[uses[0]].id || now[uses[1]].id != keys[uses[1]].id {
		return ErrUnconfirmed
	}
	now := a.now()
	id, born := person.ID.String(), formatBorn(person.Born)
	replaces, err := a.renamed(ctx, tx, person)
	if err != nil {
		return err
	}
	causes := map[string]Cause{}
	for _, d := range replaces {
		causes[d] = Renamed
	}
	for _, d := range e.replaced() {
		causes[d] = Replaced
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO persons (id, given, surname, born, email, created) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE SET given = excluded.given, surname = excluded.surname, born = excluded.born, email = excluded.email`,
		id, person.Given, person.Surname, born, e.subject.Email, millis(now)); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE accounts SET version = $1 WHERE person = $2", newVersion(), id); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO accounts (document, person, level, state, device, token, created, expires, ended, cause, cleaned, version)
VALUES ($1, $2, $3, 'active', $4, $5, $6, $7, 0, '', 0, $8)`,
		e.document, id, int64(document.Level), e.device, e.token, millis(now), millis(expires), newVersion()); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE account_keys SET state = 'current' WHERE document = $1 AND state = 'offered'", e.document); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE enrolments SET state = 'opened', opened = $1, expires = $2 WHERE id = $3",
		millis(now), millis(now.Add(openedLife)), e.id); err != nil {
		return err
	}
	notice := notices.Notice{Kind: notices.AccountOpened}
	for _, d := range sortedKeys(causes) {
		ended, err := a.endIn(ctx, tx, d, causes[d])
		if err != nil {
			return err
		}
		if ended {
			notice.Replaced = append(notice.Replaced, d)
		}
	}
	if e.state == begun && len(e.replaced()) > 0 {
		notice.Kind = notices.NewPhone
	}
	if err := addHistory(ctx, tx, document, Entry{Kind: string(notice.Kind), Device: e.device}, now); err != nil {
		return err
	}
	return a.notify(ctx, tx, document, notice)
}

func sortedKeys(m map[string]Cause) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// renamed returns the open accounts of a person who had another name when they began:
// their certificates say what is no longer so.
func (a *Accounts) renamed(ctx context.Context, tx *sql.Tx, p identity.Person) (out []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT a.document FROM accounts a JOIN persons p ON p.id = a.person
WHERE p.id = $1 AND a.state IN ('active', 'suspended') AND NOT (p.given = $2 AND p.surname = $3 AND p.born = $4)`,
		p.ID.String(), p.Given, p.Surname, formatBorn(p.Born))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var d string
		if err := rows.Scan(&d); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, rows.Err()
}

// newRevocationCode gives an account that has just begun a revocation code, in place of
// one that the phone may not have heard.
func (a *Accounts) newRevocationCode(ctx context.Context, e enrolment) (string, error) {
	shown := newCode()
	code, _ := readCode(shown)
	rows, err := a.db.Exec(ctx, "UPDATE accounts SET revocation = $1 WHERE document = $2 AND state IN ('active', 'suspended')",
		a.mac("revocation", code), e.document)
	if err != nil || rows == 0 {
		return "", err
	}
	return shown, nil
}

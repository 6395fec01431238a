package accounts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/identity"
)

// State is what state an account is in.
type State string

// The states. An account never leaves Deleted and Expired.
const (
	Active    State = "active"
	Suspended State = "suspended" // by the registrar, until he resumes it
	Deleted   State = "deleted"
	Expired   State = "expired"
)

// Open reports whether an account has not ended.
func (s State) Open() bool { return s == Active || s == Suspended }

// Cause is why an account ended.
type Cause string

// The causes.
const (
	ByOwner     Cause = "owner"     // in the app or the portal
	ByCode      Cause = "code"      // with the revocation code
	ByRegistrar Cause = "registrar" // who says so for the person
	ByMistake   Cause = "mistake"   // the registrar's: the account should not have been opened
	Replaced    Cause = "replaced"  // by a new phone, or a new key
	Renamed     Cause = "renamed"   // replaced because the person's name changed
	ByAge       Cause = "expired"
)

// reasons is what certificates are revoked for.
var reasons = map[Cause]ca.Reason{
	ByOwner: ca.CessationOfOperation, ByCode: ca.CessationOfOperation, ByRegistrar: ca.CessationOfOperation,
	ByMistake: ca.PrivilegeWithdrawn, Replaced: ca.Superseded, Renamed: ca.AffiliationChanged, ByAge: ca.CessationOfOperation,
}

// Key is one of the two keys of an account.
type Key struct {
	ID          protocol.KeyID
	Certificate []byte // DER
	// Destroyed is when the service learnt that the key is destroyed, by wrong PINs or
	// since a copy was found; zero for one that is alive as far as it knows.
	Destroyed time.Time
}

// Account is one account of a person: one phone. The certificates may be shared: nobody
// may change them.
type Account struct {
	Document identity.Document
	Person   identity.Person
	Level    identity.Level // that of the document number
	State    State
	Device   string // the phone's label
	Keys     [2]Key // for authentication, and for signatures
	Created  time.Time
	Expires  time.Time
	Ended    time.Time // zero while it is open
	Cause    Cause     // of its end
}

// Key returns the key for a use.
func (a Account) Key(use ca.Use) Key {
	if use == ca.Signature {
		return a.Keys[1]
	}
	return a.Keys[0]
}

// ByPerson returns the accounts of a person that have not ended, the oldest first: none
// for a person whom nobody registered, too.
func (a *Accounts) ByPerson(ctx context.Context, person identity.ID) ([]Account, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	all, err := a.kept(ctx, "WHERE a.person = $1 AND a.state IN ('active', 'suspended')", person.String())
	out := all[:0]
	for _, account := range all {
		if account.State.Open() { // and did not expire just now
			out = append(out, account)
		}
	}
	return out, err
}

// AllByPerson returns every account that a person ever had, the oldest first.
func (a *Accounts) AllByPerson(ctx context.Context, person identity.ID) ([]Account, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	return a.read(ctx, "WHERE a.person = $1", person.String())
}

// ByDocument returns an account, also one that has ended. The error is ErrNotFound if
// there never was one.
func (a *Accounts) ByDocument(ctx context.Context, document identity.Document) (Account, error) {
	if err := a.ready(ctx); err != nil {
		return Account{}, err
	}
	return a.one(ctx, "WHERE a.document = $1", document.String())
}

// ByToken returns the account of the phone that has a token. The error is ErrNotFound for
// a token of nobody's; for one whose account has ended it is ErrEnded, with the account.
func (a *Accounts) ByToken(ctx context.Context, token string) (Account, error) {
	if err := a.ready(ctx); err != nil {
		return Account{}, err
	}
	hash, err := hashToken(token)
	if err != nil {
		return Account{}, ErrNotFound
	}
	account, err := a.one(ctx, "WHERE a.token = $1", hash)
	if err == nil && !account.State.Open() {
		err = ErrEnded
	}
	return account, err
}

// ByKey returns the account that a key is, or was, of. The error is ErrNotFound also for
// a key that is offered to an enrolment.
func (a *Accounts) ByKey(ctx context.Context, id protocol.KeyID) (Account, error) {
	if err := a.ready(ctx); err != nil {
		return Account{}, err
	}
	return a.one(ctx, "WHERE a.document = (SELECT document FROM account_keys WHERE id = $1)", id[:])
}

// Page returns up to n accounts, whatever their state, whose document numbers follow
// after in the database's order: for lists of all. after is empty at first.
func (a *Accounts) Page(ctx context.Context, after string, n int) ([]Account, error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	if n < 1 || n > 1000 {
		return nil, fmt.Errorf("%w: a page of %d accounts", ErrRequest, n)
	}
	all, err := a.read(ctx, "WHERE a.document IN (SELECT document FROM accounts WHERE document > $1 ORDER BY document LIMIT $2)", after, n)
	if err != nil || len(all) < 2 {
		return all, err
	}
	// The last one is where the next page begins: by the database's order, not by Go's.
	place := map[string]int{}
	err = a.db.Read(ctx, func(tx *sql.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT document FROM accounts WHERE document > $1 ORDER BY document LIMIT $2", after, n)
		if err != nil {
			return err
		}
		defer rows.Close()
		for i := 0; rows.Next(); i++ {
			var document string
			if err := rows.Scan(&document); err != nil {
				return err
			}
			place[document] = i
		}
		return rows.Err()
	})
	slices.SortFunc(all, func(x, y Account) int { return place[x.Document.String()] - place[y.Document.String()] })
	return all, err
}

func (a *Accounts) one(ctx context.Context, where string, args ...any) (Account, error) {
	all, err := a.kept(ctx, where, args...)
	if err != nil {
		return Account{}, err
	}
	if len(all) != 1 {
		return Account{}, ErrNotFound
	}
	return all[0], nil
}

// version is an account as it was when its row had a version.
type version struct {
	version int64
	account Account
}

// newVersion draws one. So nobody takes one that was rolled back for another.
func newVersion() int64 {
	var b [8]byte
	rand.Read(b[:])
	return int64(binary.BigEndian.Uint64(b[:]) >> 1)
}

// maxKept is about how many accounts are kept, some kilobytes each.
const maxKept = 4000

// kept is read for accounts that are read again and again: where is of accounts alone. An
// account is kept in memory, and the database asked whether its version is the same.
func (a *Accounts) kept(ctx context.Context, where string, args ...any) (out []Account, err error) {
	known := true
	err = a.db.Query(ctx, func(rows *sql.Rows) error {
		out, known = nil, true
		for rows.Next() {
			var document string
			var now int64
			if err := rows.Scan(&document, &now); err != nil {
				return err
			}
			v, ok := a.versions.Get(document)
			known = known && ok && v.version == now
			out = append(out, v.account)
		}
		return nil
	}, "SELECT a.document, a.version FROM accounts a "+where+" ORDER BY a.created, a.document", args...)
	if err != nil || known {
		return a.withExpiry(out), err
	}
	return a.read(ctx, where, args...)
}

func (a *Accounts) read(ctx context.Context, where string, args ...any) (out []Account, err error) {
	err = a.db.Query(ctx, func(rows *sql.Rows) (err error) {
		out, err = a.scan(rows)
		return err
	}, `SELECT a.document, a.person, a.state, a.device, a.created, a.expires, a.ended, a.cause, a.version,
p.given, p.surname, p.born, k.id, k.key_use, k.certificate, k.destroyed
FROM accounts a JOIN persons p ON p.id = a.person JOIN account_keys k ON k.document = a.document AND k.state = 'current' `+
		where+" ORDER BY a.created, a.document, k.key_use", args...)
	return a.withExpiry(out), err
}

// withExpiry has accounts end that Sweep has not got to.
func (a *Accounts) withExpiry(all []Account) []Account {
	now := a.now()
	for i, account := range all {
		if account.State.Open() && !now.Before(account.Expires) {
			all[i].State = Expired
		}
	}
	return all
}

// scan reads accounts with their keys, each of which is a row.
func (a *Accounts) scan(rows *sql.Rows) (out []Account, err error) {
	var versions []int64
	for rows.Next() {
		var document, person, born string
		var created, expires, ended, destroyed, drawn int64
		var use ca.Use
		var id []byte
		var account Account
		var key Key
		if err := rows.Scan(&document, &person, &account.State, &account.Device, &created, &expires, &ended, &account.Cause, &drawn,
			&account.Person.Given, &account.Person.Surname, &born, &id, &use, &key.Certificate, &destroyed); err != nil {
			return nil, err
		}
		if account.Document, err = identity.ParseDocument(document); err != nil {
			return nil, err
		}
		if account.Person.ID, err = identity.ParseID(person); err != nil {
			return nil, err
		}
		if account.Person.Born, err = parseBorn(born); err != nil {
			return nil, err
		}
		if len(id) != len(key.ID) || use != ca.Authentication && use != ca.Signature {
			return nil, errDamaged
		}
		key.ID, key.Destroyed = protocol.KeyID(id), fromMillis(destroyed)
		account.Level = account.Document.Level
		account.Created, account.Expires, account.Ended = fromMillis(created), fromMillis(expires), fromMillis(ended)
		if n := len(out); n == 0 || out[n-1].Document != account.Document {
			out, versions = append(out, account), append(versions, drawn)
		}
		out[len(out)-1].Keys[use-ca.Authentication] = key
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i, account := range out {
		if account.Keys[0].Certificate == nil || account.Keys[1].Certificate == nil {
			return nil, errDamaged
		}
		a.versions.Put(account.Document.String(), version{versions[i], account})
	}
	return out, nil
}

var errDamaged = errors.New("accounts: damaged rows of an account")

const bornLayout = time.DateOnly

func formatBorn(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(bornLayout)
}

func parseBorn(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(bornLayout, s)
}

// hashToken is what is stored of a device's token: base64url of 32 bytes.
func hashToken(token string) ([]byte, error) {
	if err := checkToken(token); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(token))
	return sum[:], nil
}

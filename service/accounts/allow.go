package accounts

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/quota"
)

// Allow takes a place in the quotas for what a relying party begins: a login, a
// signature, a choice of certificates. The person is empty where the request names
// nobody. source is the address that it comes from. The error is a [*quota.Later] if it
// is too early.
func (a *Accounts) Allow(ctx context.Context, person identity.ID, relyingParty, source string) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	return a.quotas.begin.Allow(ctx, beginning(person, relyingParty, source))
}

// AllowWithin is Allow within a transaction of the caller's: see
// [quota.Quota.AllowWithin].
func (a *Accounts) AllowWithin(ctx context.Context, person identity.ID, relyingParty, source string,
	transact func(take func(context.Context, *sql.Tx) error) error) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	return a.quotas.begin.AllowWithin(ctx, beginning(person, relyingParty, source), transact)
}

func beginning(person identity.ID, relyingParty, source string) quota.Attempt {
	attempt := quota.Attempt{RelyingParty: relyingParty, Source: sourceOf(source)}
	if person != (identity.ID{}) {
		attempt.Person = person.String()
	}
	return attempt
}

// allowCode is for whoever tries a code.
func (a *Accounts) allowCode(ctx context.Context, source string) error {
	return a.quotas.code.Allow(ctx, quota.Attempt{Source: sourceOf(source)})
}

// sourceOf is what a source counts as: of an IPv6 address the network, 64 bits of which
// one customer has, who can send from each of its addresses.
func sourceOf(source string) string {
	address, err := netip.ParseAddr(source)
	if err != nil {
		return source
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	p, err := address.Prefix(64)
	if err != nil {
		return source // which cannot be: it has 128 bits
	}
	return p.String()
}

type sourceKey struct{}

// WithSource says in a context where a phone's request comes from, for [Accounts.Admit].
func WithSource(ctx context.Context, source string) context.Context {
	return context.WithValue(ctx, sourceKey{}, source)
}

// ErrSuspended is returned by [Accounts.Admit] for a key of an account that is suspended.
var ErrSuspended = errors.New("accounts: the account is suspended")

// Admit takes a place in the quotas for trying a PIN. It is server.Config.Admit: a server
// asks it before it looks at a partial signature, and says "later" to the phone if the
// error is not nil. So nobody signs with an account that is suspended or has ended, also
// with a challenge from before. A key that is offered to an enrolment has the quotas of
// its source only.
func (a *Accounts) Admit(ctx context.Context, id protocol.KeyID, _ protocol.Operation) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	source, _ := ctx.Value(sourceKey{}).(string)
	return a.quotas.pin.AllowFound(ctx, func(ctx context.Context, tx *sql.Tx) (quota.Attempt, error) {
		attempt := quota.Attempt{Source: sourceOf(source)}
		var state State
		var expires int64
		err := tx.QueryRowContext(ctx, `SELECT a.person, a.state, a.expires FROM account_keys k JOIN accounts a ON a.document = k.document
WHERE k.id = $1 AND k.state = 'current'`, id[:]).Scan(&attempt.Person, &state, &expires)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return attempt, nil
		case err != nil:
			return attempt, err
		case !state.Open() || expires <= millis(a.now()):
			return attempt, ErrEnded
		case state != Active:
			return attempt, ErrSuspended
		}
		return attempt, nil
	})
}

package accounts

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/sqlstore"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/memo"
	"github.com/tandem-rsa/tandem/service/notices"
	"github.com/tandem-rsa/tandem/service/quota"
)

// Keys is what of a [server.Server] this package uses.
type Keys interface {
	ChallengeEnroll(ctx context.Context) (protocol.KeyID, []byte, error)
	ChallengeSign(ctx context.Context, id protocol.KeyID, digest []byte, opts crypto.SignerOpts) ([]byte, error)
	Status(ctx context.Context, id protocol.KeyID) (*server.KeyStatus, error)
	Revoke(ctx context.Context, id protocol.KeyID, why string) error
}

var _ Keys = (*server.Server)(nil)

// Config is what [New] makes an Accounts from.
type Config struct {
	DB     *database.DB
	Keys   Keys
	Issuer ca.Issuer

	// Issued is the store of the Issuer, if that is a [ca.Authority] in the same
	// database: a certificate that a crash left behind is found there, and used or
	// revoked. Without it the Issuer must return the certificate that it has when it is
	// asked for the same one again.
	Issued *sqlstore.Store

	// Secret is what codes are kept under as HMACs: 32 random bytes, the same on all
	// nodes. Required.
	Secret []byte `json:"-"`

	// Notices takes what persons are told. nil tells them nothing.
	Notices *notices.Outbox

	// Quotas limit how often something may be tried; see [DefaultQuotas].
	Quotas Quotas

	// CodeLife is how long a registrar's code lives; 0 means three days.
	CodeLife time.Duration

	// Log has what fails behind the scenes. nil means slog.Default().
	Log *slog.Logger

	// Clock is time.Now if nil.
	Clock func() time.Time
}

// Format hides the secret, except where package fmt cannot call it: in an unexported
// field of a struct that is printed.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "accounts.Config") }

// Quotas are the rules for each kind of attempt. The zero value has no rules.
type Quotas struct {
	// Begin is for relying parties that begin logins and signatures: [Accounts.Allow].
	Begin quota.Rules
	// PIN is for requests of phones that try a PIN: [Accounts.Admit].
	PIN quota.Rules
	// Code is for tries of registrars' and revocation codes, and requests of new phones.
	Code quota.Rules
}

// DefaultQuotas are for a service with some hundred thousand accounts.
func DefaultQuotas() Quotas {
	minute := func(n int) quota.Rule { return quota.Rule{N: n, Per: time.Minute} }
	day := func(n int) quota.Rule { return quota.Rule{N: n, Per: 24 * time.Hour} }
	return Quotas{
		Begin: quota.Rules{
			Person:       []quota.Rule{minute(10), day(200)},
			RelyingParty: []quota.Rule{minute(6000), day(2_000_000)},
			Source:       []quota.Rule{minute(6000), day(2_000_000)},
			All:          []quota.Rule{minute(60_000)},
		},
		PIN: quota.Rules{
			Person: []quota.Rule{minute(10), day(200)},
			Source: []quota.Rule{minute(600), day(100_000)},
			All:    []quota.Rule{minute(60_000)},
		},
		Code: quota.Rules{
			Source: []quota.Rule{minute(10), day(200)},
			All:    []quota.Rule{minute(600), day(100_000)},
		},
	}
}

const defaultCodeLife = 72 * time.Hour

var (
	// ErrConfig is returned by [New] for a configuration that cannot work, and by all
	// methods of an Accounts that New did not make.
	ErrConfig = errors.New("accounts: unusable configuration")
	// ErrNotFound is returned for what is not there.
	ErrNotFound = errors.New("accounts: not found")
	// ErrEnded is returned by [Accounts.ByToken] with an account that has ended, and by
	// whatever needs one that has not.
	ErrEnded = errors.New("accounts: the account has ended")
	// ErrRequest is returned for arguments that mean nothing; the text says which.
	ErrRequest = errors.New("accounts: unacceptable request")
	// ErrCode is returned for a code that was never given, was used, or has expired, and
	// for a token without an enrolment.
	ErrCode = errors.New("accounts: no such code")
	// ErrNotApproved is returned to a new phone until the old one has approved it.
	ErrNotApproved = errors.New("accounts: the old phone has not approved the new one")
	// ErrUnconfirmed is returned by [Accounts.Finish] while a key is not enrolled and
	// confirmed: go on with [Accounts.Continue].
	ErrUnconfirmed = errors.New("accounts: a key is not confirmed")
	// ErrUnfinished is returned if an account has ended, and its keys could not all be
	// destroyed or its certificates revoked yet. Sweep tries again, and so may the
	// caller.
	ErrUnfinished = errors.New("accounts: the account has ended, and not all of its keys and certificates are destroyed yet")
)

// Accounts is the register of persons, accounts and relying parties. It is safe for
// concurrent use, on any number of nodes.
type Accounts struct {
	config Config
	db     *database.DB
	secret secret.Bytes
	onEnd  []func(context.Context, *sql.Tx, identity.Document) error
	quotas struct{ begin, pin, code *quota.Quota }
	// parties are relying parties that were read, by all of the text that they are in.
	parties *memo.Memo[RelyingParty]
	// versions are accounts that were read, by document number.
	versions *memo.Memo[version]
}

// New returns an Accounts. The error is ErrConfig.
func New(c Config) (*Accounts, error) {
	switch {
	case c.DB == nil || isnil.Value(c.Keys) || isnil.Value(c.Issuer):
		return nil, fmt.Errorf("%w: no database, no server or no issuer", ErrConfig)
	case len(c.Secret) != 32:
		return nil, fmt.Errorf("%w: the secret is not of 32 bytes", ErrConfig)
	case c.CodeLife < 0 || c.CodeLife > 90*24*time.Hour:
		return nil, fmt.Errorf("%w: codes that live for %v", ErrConfig, c.CodeLife)
	}
	if c.CodeLife == 0 {
		c.CodeLife = defaultCodeLife
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	a := &Accounts{config: c, db: c.DB, secret: secret.Copy(c.Secret), parties: memo.New[RelyingParty](100), versions: memo.New[version](maxKept)}
	a.config.Secret = nil
	for _, q := range []struct {
		to    **quota.Quota
		kind  string
		rules quota.Rules
	}{{&a.quotas.begin, "begin", c.Quotas.Begin}, {&a.quotas.pin, "pin", c.Quotas.PIN}, {&a.quotas.code, "code", c.Quotas.Code}} {
		var err error
		if *q.to, err = quota.New(c.DB, q.kind, q.rules, c.Clock); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	return a, nil
}

// Format says nothing of the configuration.
func (a Accounts) Format(f fmt.State, _ rune) { fmt.Fprint(f, "accounts.Accounts") }

// OnEnd has f called in the transaction that ends an account: it closes what is open
// there. An error of f's keeps the account from ending. It must be called before the
// Accounts is in use.
func (a *Accounts) OnEnd(f func(ctx context.Context, tx *sql.Tx, document identity.Document) error) {
	if a != nil && f != nil {
		a.onEnd = append(a.onEnd, f)
	}
}

// ready refuses an Accounts that New did not make, and a nil context.
func (a *Accounts) ready(ctx context.Context) error {
	if a == nil || a.db == nil {
		return fmt.Errorf("%w: not made by New", ErrConfig)
	}
	if ctx == nil {
		return fmt.Errorf("%w: no context", ErrRequest)
	}
	return nil
}

func (a *Accounts) now() time.Time { return a.config.Clock().UTC().Truncate(time.Millisecond) }

// mac is what is stored of a code.
func (a *Accounts) mac(purpose, code string) []byte {
	h := hmac.New(sha256.New, a.secret.Get())
	h.Write([]byte("tandem account code 1 " + purpose + " "))
	h.Write([]byte(code))
	return h.Sum(nil)
}

// millis is a time as the database has it: 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

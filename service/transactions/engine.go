package transactions

import (
	"context"
	"crypto"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/internal/memo"
	"github.com/tandem-rsa/tandem/service/rp"
)

const (
	// DefaultLife is how long a person has for a session.
	DefaultLife = 2 * time.Minute
	// DefaultLinkLife is how long a device link waits to be opened.
	DefaultLinkLife = time.Minute
	// Retention is how long the result of a session can be read.
	Retention = 5 * time.Minute
)

// ErrConfig is returned by [New] for a configuration that cannot work.
var ErrConfig = errors.New("transactions: unusable configuration")

// Protocol is what an Engine needs of a [*server.Server].
type Protocol interface {
	ChallengeSign(ctx context.Context, id protocol.KeyID, digest []byte, opts crypto.SignerOpts) ([]byte, error)
	Handle(ctx context.Context, request []byte) ([]byte, error)
	Status(ctx context.Context, id protocol.KeyID) (*server.KeyStatus, error)
}

// Accounts is what an Engine needs of an [*accounts.Accounts].
type Accounts interface {
	ByPerson(context.Context, identity.ID) ([]accounts.Account, error)
	ByDocument(context.Context, identity.Document) (accounts.Account, error)
	RelyingParty(ctx context.Context, uuid string) (accounts.RelyingParty, error)
	Allow(ctx context.Context, person identity.ID, relyingParty, source string) error
	AllowWithin(ctx context.Context, person identity.ID, relyingParty, source string, transact func(take func(context.Context, *sql.Tx) error) error) error
	AddHistory(context.Context, *sql.Tx, identity.Document, accounts.Entry) error
}

// Config is what [New] makes an Engine of. All nodes of a service have the same, but for
// the connections, Clock and Log.
type Config struct {
	DB       *database.DB // required
	Accounts Accounts     // required
	// Protocol is the service's server, whose Config.Signed must call [Engine.Signed]. It
	// is required, and its challenges must live at least as long as a session.
	Protocol Protocol

	// Scheme is the schemeName of device links and logins, such as "smart-id-demo".
	// Required: [a-z0-9-]. All phones know it.
	Scheme string
	// LinkBase is the deviceLinkBase: where a device link leads without an app. Required.
	LinkBase string
	// QualifiedDevice says that the keys of qualified accounts are in a qualified device.
	// Without it nobody has an account of the level QSCD.
	QualifiedDevice bool

	// Life is how long a person has for a session, up to [server.DefaultChallengeLife]; 0
	// is DefaultLife. LinkLife is how long a device link waits; 0 is DefaultLinkLife.
	Life, LinkLife time.Duration

	// Wake, if not nil, is told of an account that a session has begun for, so that its
	// phone hears of it. It must not wait. A crash may swallow a call.
	Wake func(identity.Document)

	// Clock is time.Now if nil. By it each node decides whether the time of a session is
	// up: the clocks of all nodes must agree, to some seconds.
	Clock func() time.Time
	Log   *slog.Logger // slog.Default() if nil
}

// Engine has the sessions of a service. It keeps nothing in memory that is not in the
// database, but for copies that decide nothing: any number of them may work on one
// database, and any of them answers any call. All methods may be called from many
// goroutines at once. What they return may be shared: what it refers to must not be
// changed.
type Engine struct {
	db              *database.DB
	store           store
	kinds           *memo.Memo[rp.Kind]               // of sessions, which never change, by id
	parties         *memo.Memo[accounts.RelyingParty] // as they were last read, by UUID
	accounts        Accounts
	protocol        Protocol
	scheme          string
	linkBase        string
	qualifiedDevice bool
	life, linkLife  time.Duration
	wake            func(identity.Document)
	clock           func() time.Time
	log             *slog.Logger
}

// New returns an Engine. The error wraps ErrConfig.
func New(c Config) (*Engine, error) {
	e := &Engine{
		db: c.DB, store: newStore(c.DB), kinds: memo.New[rp.Kind](maxParsed), parties: memo.New[accounts.RelyingParty](maxParties),
		accounts: c.Accounts, protocol: c.Protocol, scheme: c.Scheme, linkBase: c.LinkBase, qualifiedDevice: c.QualifiedDevice,
		life: c.Life, linkLife: c.LinkLife, wake: c.Wake, clock: c.Clock, log: c.Log,
	}
	if e.life == 0 {
		e.life = DefaultLife
	}
	if e.linkLife == 0 {
		e.linkLife = DefaultLinkLife
	}
	if e.clock == nil {
		e.clock = time.Now
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	switch {
	case c.DB == nil, isnil.Value(c.Accounts), isnil.Value(c.Protocol):
		return nil, fmt.Errorf("%w: a part is missing", ErrConfig)
	case c.Scheme == "" || strings.Trim(c.Scheme, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return nil, fmt.Errorf("%w: the scheme", ErrConfig)
	case c.LinkBase == "" || strings.ContainsFunc(c.LinkBase, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("?#&|%", r) }):
		return nil, fmt.Errorf("%w: the base of device links", ErrConfig)
	case e.life < time.Second || e.life > server.DefaultChallengeLife || e.linkLife < time.Second || e.linkLife > e.life:
		return nil, fmt.Errorf("%w: how long a session lives", ErrConfig)
	}
	return e, nil
}

var (
	errNoEngine  = errors.New("transactions: no engine")
	errNoContext = errors.New("transactions: no context")
)

func (e *Engine) ready(ctx context.Context) error {
	switch {
	case e == nil || e.db == nil:
		return errNoEngine
	case ctx == nil:
		return errNoContext
	}
	return nil
}

// now is the time by which everything is decided, as exact as the tables have it.
func (e *Engine) now() time.Time { return e.clock().UTC().Truncate(time.Millisecond) }

// Topics of notes.
const (
	topicSession = "session" // with its id: it has ended
	topicAccount = "phone"   // with a document number: its phone may have something else to do
)

// errSame ends a transaction that has nothing to write.
var errSame = errors.New("transactions: nothing changes")

// change does something to a session as one step: find locks it, and do says what it
// becomes. A session that do returns with an error is written all the same.
func (e *Engine) change(ctx context.Context, find func(context.Context, *sql.Tx) (session, error),
	do func(context.Context, *sql.Tx, session, time.Time) (session, error)) (after session, err error) {
	var refused error
	err = e.db.TxReadCommitted(ctx, func(tx *sql.Tx) error {
		before, err := find(ctx, tx)
		if err != nil {
			return err
		}
		now := e.now()
		if forgotten(before, now) {
			return ErrNotFound
		}
		if after, refused = do(ctx, tx, before, now); reflect.DeepEqual(before, after) {
			return errSame
		}
		return e.write(ctx, tx, before, after)
	})
	if err == nil || errors.Is(err, errSame) {
		err = refused
	}
	return after, err
}

func (e *Engine) byID(id string) func(context.Context, *sql.Tx) (session, error) {
	return func(ctx context.Context, tx *sql.Tx) (session, error) { return e.store.lock(ctx, tx, id) }
}

// forgotten reports whether the result of a session is not to be read any more.
func forgotten(s session, now time.Time) bool {
	return s.Outcome != nil && !now.Before(s.Completed.Add(Retention))
}

// write saves a session, and does what is due when it begins, is claimed or ends. before
// is the zero session if it begins.
func (e *Engine) write(ctx context.Context, tx *sql.Tx, before, after session) error {
	var err error
	if before.ID == "" {
		err = e.store.insert(ctx, tx, after)
	} else {
		err = e.store.update(ctx, tx, before, after)
	}
	if err != nil {
		return err
	}
	if before.Outcome == nil && after.Outcome != nil {
		if err := e.db.Notify(ctx, tx, topicSession, after.ID); err != nil {
			return err
		}
		if err := e.history(ctx, tx, after); err != nil {
			return err
		}
	}
	for _, a := range after.Accounts {
		if err := e.db.Notify(ctx, tx, topicAccount, a.Document.String()); err != nil {
			return err
		}
	}
	return nil
}

// event has the machine take an event.
func (e *Engine) event(ctx context.Context, id string, ev event) (session, error) {
	return e.change(ctx, e.byID(id), func(_ context.Context, _ *sql.Tx, s session, now time.Time) (session, error) { return next(s, ev, now) })
}

// Choose is the person's choice: one of three codes, or, without a code, this account.
// The right code gives what to sign; another one ends the session. Errors: those of this
// package.
func (e *Engine) Choose(ctx context.Context, a accounts.Account, id, code string) (*ToSign, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	s, err := e.event(ctx, id, event{kind: picks, document: a.Document, code: code, life: e.life})
	if err != nil {
		return nil, err
	}
	switch {
	case s.Outcome != nil && s.Outcome.End == rp.WrongVC:
		return nil, ErrWrongCode
	case s.stageOf(a.Document) != signing || s.Outcome != nil:
		return nil, nil
	}
	return e.toSign(s, s.claimOf(a.Document)), nil
}

// Refuse ends a session, or, after a choice of a certificate, the wait for the signature
// that follows. Errors: those of this package.
func (e *Engine) Refuse(ctx context.Context, a accounts.Account, id string, screen Screen) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	_, err := e.event(ctx, id, event{kind: denies, document: a.Document, screen: screen})
	return err
}

// CloseAccount takes an account out of all sessions, in the transaction in which it ends:
// it belongs into [accounts.Accounts.OnEnd].
func (e *Engine) CloseAccount(ctx context.Context, tx *sql.Tx, d identity.Document) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	if tx == nil {
		return errors.New("transactions: no transaction")
	}
	ids, err := toAnswer(ctx, tx, d)
	if err != nil {
		return err
	}
	for _, id := range ids {
		before, err := e.store.lock(ctx, tx, id)
		if errors.Is(err, ErrNotFound) {
			continue // forgotten meanwhile
		}
		if err != nil {
			return err
		}
		after, err := next(before, event{kind: drops, document: d, why: rp.DocumentUnusable}, e.now())
		if err == nil && !reflect.DeepEqual(before, after) {
			err = e.write(ctx, tx, before, after)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

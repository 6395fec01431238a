// Package quota says when it is too early for another attempt: per person, per relying
// party, per source of requests, and for all together, in short and in long windows.
// The answer is "later" ([Later]), before anything else of the attempt is looked at.
//
// A quota is not what keeps a thief from guessing PINs: pinlock/limiter counts wrong
// PINs, durably and for each key. A quota bounds what strangers can make a person's
// phone, the service and its HSM do.
//
// # Buckets
//
// A [Rule] of N in a time T is a bucket that holds N attempts and leaks one each T/N: N
// may come at once, then one each T/N, and never more than 2N in any time T (the
// generic cell rate algorithm of ITU-T I.371). An attempt that is refused takes nothing
// from any bucket. The buckets are in the database, so that they hold for all nodes
// together and outlast them; a crash of the machine may forget the last attempts. A
// node remembers what is full, and refuses that without asking.
package quota

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/service/database"
)

// Rule allows N attempts in a time.
type Rule struct {
	N   int
	Per time.Duration
}

// Rules are those of one kind of attempts. All of them hold.
//
// From a bucket of All, and from one of a relying party or a source that holds 1000 or
// more, nodes take by the hundredth part: each may leave that much of it unused, or use
// it later.
type Rules struct {
	Person       []Rule
	RelyingParty []Rule
	Source       []Rule
	// All is the breaker: for all attempts of the kind, whoever makes them.
	All []Rule
}

// Attempt is what somebody wants to do. What is empty has no quota.
type Attempt struct {
	Person       string
	RelyingParty string
	Source       string
}

// Later is the answer for an attempt that comes too early.
type Later struct {
	After time.Duration // how long from now until an attempt may succeed
}

func (l *Later) Error() string {
	if l == nil {
		return "quota: nil Later"
	}
	return fmt.Sprintf("quota: later, in %v", l.After)
}

// ErrConfig is returned by [New] for rules that mean nothing.
var ErrConfig = errors.New("quota: unusable configuration")

// Quota allows attempts of one kind or not. It is safe for concurrent use.
type Quota struct {
	db    *database.DB
	kind  string
	rules Rules
	clock func() time.Time

	mu   sync.Mutex
	full map[string]time.Time // until when a bucket is known to be full
	have map[string]int64     // attempts taken from a bucket ahead
}

const (
	// maxFull bounds what a node remembers, of each kind. What it forgets of full buckets
	// it asks the database again; places that it forgets are lost.
	maxFull = 1 << 16
	// manyAttempts is how many attempts a bucket holds that places are taken of ahead.
	manyAttempts = 1000
)

// New returns the Quota of one kind of attempts, a word such as "login". clock is
// time.Now if nil. The error is ErrConfig.
func New(db *database.DB, kind string, rules Rules, clock func() time.Time) (*Quota, error) {
	if db == nil || kind == "" {
		return nil, fmt.Errorf("%w: no database or no kind", ErrConfig)
	}
	for _, r := range slices.Concat(rules.Person, rules.RelyingParty, rules.Source, rules.All) {
		if r.N < 1 || r.Per < time.Second || r.Per > 366*24*time.Hour || r.interval() < 1 {
			return nil, fmt.Errorf("%w: %d attempts in %v", ErrConfig, r.N, r.Per)
		}
	}
	if clock == nil {
		clock = time.Now
	}
	return &Quota{db: db, kind: kind, rules: rules, clock: clock, full: map[string]time.Time{}, have: map[string]int64{}}, nil
}

// interval is how long a bucket takes to leak one attempt, in microseconds.
func (r Rule) interval() int64 { return r.Per.Microseconds() / int64(r.N) }

// bucket is one that an attempt must fit into, n attempts of it at once.
type bucket struct {
	id    string
	rule  Rule
	n     int64
	ahead bool // n are taken for this attempt and later ones
}

// Allow takes an attempt's place in every bucket. The error is a *[Later], and nothing
// is taken, if one of them is full; else the database's.
func (q *Quota) Allow(ctx context.Context, a Attempt) error {
	return q.allow(ctx, a, func(p *places) error {
		if len(p.ask) == 0 {
			return nil
		}
		return q.db.TxLoose(ctx, func(tx *sql.Tx) error { return p.take(ctx, tx) })
	})
}

// AllowWithin is Allow within a transaction of the caller's: transact runs one, in which
// take takes the places each time that it runs, and returns what became of it. An error
// of transact's is returned, and nothing is taken.
func (q *Quota) AllowWithin(ctx context.Context, a Attempt, transact func(take func(context.Context, *sql.Tx) error) error) error {
	if transact == nil {
		return fmt.Errorf("%w: no transaction", ErrConfig)
	}
	return q.allow(ctx, a, func(p *places) error { return transact(p.take) })
}

func (q *Quota) allow(ctx context.Context, a Attempt, transact func(*places) error) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	p := places{q: q, now: q.clock()}
	if err := p.need(a); err != nil {
		return err
	}
	return p.settle(transact(&p))
}

// AllowFound is Allow for an attempt of somebody whom find finds, in the same
// transaction. An error of find's is returned, and nothing is taken.
func (q *Quota) AllowFound(ctx context.Context, find func(context.Context, *sql.Tx) (Attempt, error)) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	if find == nil {
		return fmt.Errorf("%w: nobody finds", ErrConfig)
	}
	transact := q.db.TxLoose
	if q.none() {
		transact = q.db.Read
	}
	p := places{q: q, now: q.clock()}
	return p.settle(transact(ctx, func(tx *sql.Tx) error {
		a, err := find(ctx, tx)
		if err != nil {
			return err
		}
		if err := p.need(a); err != nil {
			return err
		}
		return p.take(ctx, tx)
	}))
}

func (q *Quota) ready(ctx context.Context) error {
	if q == nil || q.db == nil {
		return fmt.Errorf("%w: not made by New", ErrConfig)
	}
	if ctx == nil {
		return fmt.Errorf("%w: no context", ErrConfig)
	}
	return nil
}

// none reports whether there are no rules.
func (q *Quota) none() bool {
	r := q.rules
	return len(r.Person)+len(r.RelyingParty)+len(r.Source)+len(r.All) == 0
}

// places are those of one attempt.
type places struct {
	q    *Quota
	now  time.Time
	ask  []bucket // of the database
	used []string // that were taken ahead
	full string   // the bucket that has none
}

// need finds out which places there must be, and uses those that were taken ahead. It may
// be called again: it gives back what it used before.
func (p *places) need(a Attempt) (err error) {
	p.giveBack()
	p.ask, p.used, err = p.q.needed(a, p.now)
	return err
}

func (p *places) giveBack() {
	p.q.mu.Lock()
	defer p.q.mu.Unlock()
	for _, id := range p.used {
		p.q.have[id]++
	}
	p.used = nil
}

// take takes the places in the database. Statements decide by themselves, each under the
// lock of its row; all have the rows in the same order.
func (p *places) take(ctx context.Context, tx *sql.Tx) error {
	p.full = ""
	for _, b := range p.ask {
		ok, err := take(ctx, tx, b, p.now)
		if err != nil {
			return err
		}
		if !ok {
			var free int64
			if err := tx.QueryRowContext(ctx, "SELECT free FROM quotas WHERE id = $1", b.id).Scan(&free); err != nil {
				return err
			}
			p.full = b.id
			after := free + b.n*b.rule.interval() - b.rule.Per.Microseconds() - p.now.UnixMicro()
			return &Later{time.Duration(max(after, 1)) * time.Microsecond}
		}
	}
	return nil
}

// settle remembers what came of the transaction, whose error it returns.
func (p *places) settle(err error) error {
	if err != nil {
		p.giveBack()
	}
	q := p.q
	q.mu.Lock()
	defer q.mu.Unlock()
	var later *Later
	switch {
	case err == nil:
		if len(q.have) >= maxFull {
			clear(q.have)
		}
		for _, b := range p.ask {
			if b.ahead {
				q.have[b.id] += b.n - 1
			}
		}
	case p.full != "" && errors.As(err, &later):
		if len(q.full) >= maxFull {
			clear(q.full)
		}
		q.full[p.full] = p.now.Add(later.After)
	}
	return err
}

// needed returns the buckets that are to be asked, and the ids of others, of which this
// node had a place taken ahead and uses it.
func (q *Quota) needed(a Attempt, now time.Time) (ask []bucket, used []string, err error) {
	var out []bucket
	add := func(of, who string, rules []Rule) {
		if who == "" && of != "all" {
			return
		}
		for i, r := range rules {
			b := bucket{id: q.kind + " " + of + strconv.Itoa(i) + " " + who, rule: r, n: 1}
			if of == "all" || of != "person" && r.N >= manyAttempts {
				b.n, b.ahead = max(1, int64(r.N)/100), true
			}
			out = append(out, b)
		}
	}
	add("person", a.Person, q.rules.Person)
	add("source", a.Source, q.rules.Source)
	add("party", a.RelyingParty, q.rules.RelyingParty)
	add("all", "", q.rules.All)
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range out {
		if until := q.full[b.id]; until.After(now) {
			return nil, nil, &Later{until.Sub(now)}
		}
	}
	for _, b := range out {
		if b.ahead && q.have[b.id] > 0 {
			q.have[b.id]--
			used = append(used, b.id)
			continue
		}
		ask = append(ask, b)
	}
	return ask, used, nil
}

// take puts an attempt into a bucket, unless it is full. free is when the bucket will
// be empty.
func take(ctx context.Context, tx *sql.Tx, b bucket, now time.Time) (bool, error) {
	at, costs := now.UnixMicro(), b.n*b.rule.interval()
	result, err := tx.ExecContext(ctx, `INSERT INTO quotas (id, free) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT)) ON CONFLICT (id) DO UPDATE
SET free = CAST($3 AS BIGINT) + CASE WHEN quotas.free > $2 THEN quotas.free ELSE $2 END
WHERE quotas.free <= $4`, b.id, at, costs, at+b.rule.Per.Microseconds()-costs)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}

// Sweep forgets buckets that are empty: those of all kinds.
func (q *Quota) Sweep(ctx context.Context) error {
	if err := q.ready(ctx); err != nil {
		return err
	}
	_, err := q.db.Exec(ctx, "DELETE FROM quotas WHERE free < $1", q.clock().UnixMicro())
	return err
}

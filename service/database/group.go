package database

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// SQLite has one writer at a time. Transactions that come while another one writes wait
// in a line, and then share one transaction of SQLite's, and one sync: each is between
// its own savepoint and that one's release, so that one that fails takes back what it
// wrote and nothing else. Nobody hears of an outcome before the sync, since it may follow
// from what the others wrote. If the shared transaction fails each runs again, alone.

// line is where transactions wait.
type line struct {
	mu      sync.Mutex
	led     bool // somebody runs transactions, and looks at the line before he ends
	waiting []*member
}

// member is one transaction that waits, or runs.
type member struct {
	ctx   context.Context
	level sql.IsolationLevel
	f     func(*sql.Tx) error
	alone bool // it shares nothing

	turn chan *group // the group in which it runs now; nil if it is to lead one
	done chan error  // its outcome
	err  error       // what f returned, or what came of its context
}

// maxGroup bounds how long the first of a group waits for the others.
const maxGroup = 64

// group is one transaction of SQLite's.
type group struct {
	db      *DB
	conn    *sql.Conn
	tx      *sql.Tx       // nil before the first, and after one that failed
	back    chan struct{} // whoever had the turn gives it back
	durable bool
	ran     []*member // that need the commit, or have seen what it commits
	broken  error     // why there can be no commit
}

// errTogether is for transactions whose group failed.
var errTogether = errors.New("database: transactions that were written together failed")

// grouped runs a transaction in a group, and returns when that is committed.
func (db *DB) grouped(ctx context.Context, level sql.IsolationLevel, f func(*sql.Tx) error, alone bool) error {
	m := &member{ctx: ctx, level: level, f: f, alone: alone, turn: make(chan *group, 1), done: make(chan error, 1)}
	if db.line.join(m) {
		return db.lead(m)
	}
	var g *group
	select {
	case g = <-m.turn:
	case <-ctx.Done():
		if db.line.leave(m) {
			return ctx.Err()
		}
		g = <-m.turn // it came at the same time
	}
	if g == nil {
		return db.lead(m)
	}
	func() {
		defer func() { g.back <- struct{}{} }()
		g.run(m)
	}()
	return <-m.done
}

// lead runs a transaction, and with it those that wait.
func (db *DB) lead(m *member) error {
	defer db.line.pass()
	conn, err := db.write.Conn(m.ctx)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	g := &group{db: db, conn: conn, back: make(chan struct{}), durable: m.level != loose || !m.alone && db.line.durable()}
	defer g.end()
	g.run(m)
	if g.tx == nil { // there is nothing that others could share
		return <-m.done
	}
	for !m.alone && g.broken == nil && len(g.ran) < maxGroup {
		next := db.line.next(g.durable)
		if next == nil {
			break
		}
		next.turn <- g
		<-g.back
	}
	g.commit()
	return <-m.done
}

// run runs one transaction of a group.
func (g *group) run(m *member) {
	first := g.tx == nil
	notes := 0
	if first {
		g.db.trace.statement(m.ctx, traceBegin(m.level))
		level := m.level
		if g.durable {
			level = sql.LevelSerializable
		}
		tx, err := g.db.engine.begin(m.ctx, g.conn, level)
		if err != nil {
			m.done <- failed(err)
			return
		}
		g.tx = tx
	} else {
		g.db.trace.statement(m.ctx, traceBegin(m.level))
		notes = g.db.noted(g.tx, -1)
		if err := g.step(savepoint); err != nil {
			g.broken = err
		}
	}
	if g.broken == nil {
		m.err = errEnded // of the goroutine, by a panic
		defer g.ended(m, first, notes)
		m.err = m.f(g.tx)
		if m.err == nil {
			m.err = m.ctx.Err()
		}
		return
	}
	g.ran = append(g.ran, m)
}

var errEnded = errors.New("database: the transaction's function did not return")

// ended does what is due after f.
func (g *group) ended(m *member, first bool, notes int) {
	switch {
	case m.err == nil && first: // it needs no savepoint: what comes before it is undone by a rollback
	case m.err == nil:
		g.broken = g.step(release)
	case first: // and so it has seen nothing that is not durable
		g.db.noted(g.tx, 0)
		_ = g.tx.Rollback()
		g.tx = nil
		m.done <- m.err
		return
	default:
		g.db.noted(g.tx, notes)
		if g.broken = g.step(undo); g.broken == nil {
			g.broken = g.step(release)
		}
	}
	g.ran = append(g.ran, m)
}

// step runs one statement of the group's own.
func (g *group) step(statement string) error {
	_, err := g.tx.ExecContext(context.Background(), statement)
	return err
}

// commit commits what was written, and tells everybody.
func (g *group) commit() {
	err := g.broken
	if err == nil {
		for _, m := range g.ran {
			if m.err == nil {
				g.db.trace.statement(m.ctx, traceCommit)
			}
		}
		err = g.db.engine.commit(g.conn, g.tx)
	}
	if err == nil {
		for _, n := range g.db.forget(g.tx) {
			g.db.hub.wake(n)
		}
	}
	for _, m := range g.ran {
		switch {
		case err == nil:
			m.done <- m.err
		case len(g.ran) == 1:
			m.done <- failed(err)
		default:
			m.done <- errTogether
		}
	}
	g.ran = nil
}

// end is for a group that was not committed, since the leader's function did not return.
func (g *group) end() {
	if g.tx != nil {
		g.db.forget(g.tx)
		_ = g.tx.Rollback()
	}
}

// join adds a transaction to the line. It returns true if that is to lead.
func (l *line) join(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.led {
		l.led = true
		return true
	}
	l.waiting = append(l.waiting, m)
	return false
}

// leave takes a transaction out of the line. It returns false if it has the turn.
func (l *line) leave(m *member) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, w := range l.waiting {
		if w == m {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// durable reports whether one that waits must be durable.
func (l *line) durable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.waiting {
		if w.alone {
			return false
		}
		if w.level != loose {
			return true
		}
	}
	return false
}

// next returns the next one that may be in a group, or nil.
func (l *line) next(durable bool) *member {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || l.waiting[0].alone || !durable && l.waiting[0].level != loose {
		return nil
	}
	return l.take()
}

func (l *line) take() *member {
	m := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	return m
}

// pass has the next one lead.
func (l *line) pass() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.led = false
		return
	}
	l.take().turn <- nil
}

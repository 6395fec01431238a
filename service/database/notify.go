package database

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"
)

// note is what waiters are woken by.
type note struct{ topic, key string }

// maxNote is how long topic and key may be together: PostgreSQL takes 8000 bytes.
const maxNote = 1000

func (n note) check() error {
	if n.topic == "" || strings.ContainsAny(n.topic, " \x00") || strings.Contains(n.key, "\x00") || len(n.topic)+len(n.key) > maxNote {
		return errors.New("database: a topic is a word, and has up to 1000 bytes with its key")
	}
	return nil
}

// text is a note as it travels.
func (n note) text() string { return n.topic + " " + n.key }

func parseNote(text string) note {
	topic, key, _ := strings.Cut(text, " ")
	return note{topic, key}
}

// Notify wakes, once tx is committed, whoever waits for a topic (a word) and key on any
// node. tx is one of Tx. Nobody who waits later is woken by it.
func (db *DB) Notify(ctx context.Context, tx *sql.Tx, topic, key string) error {
	if err := db.ready(ctx); err != nil {
		return err
	}
	n := note{topic, key}
	if err := n.check(); err != nil {
		return err
	}
	if tx == nil {
		return errors.New("database: no transaction")
	}
	elsewhere, err := db.engine.notify(ctx, tx, n)
	if err != nil || elsewhere {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.pending[tx] = append(db.pending[tx], n)
	return nil
}

// Wait calls done at once, and again each time that somebody is woken by topic and key,
// until it returns true or an error, or ctx ends. The error is done's, ctx's or
// [ErrClosed]. It calls done now and then without a Notify as well: a lost connection may
// have swallowed one.
func (db *DB) Wait(ctx context.Context, topic, key string, done func(context.Context) (bool, error)) error {
	if err := db.ready(ctx); err != nil {
		return err
	}
	n := note{topic, key}
	if err := n.check(); err != nil {
		return err
	}
	if done == nil {
		return errNoFunction
	}
	woken, leave := db.hub.join(n) // before it looks, so that nothing comes between
	defer leave()
	timer := time.NewTicker(db.recheck)
	defer timer.Stop()
	for {
		finished, err := done(ctx)
		if err != nil || finished {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, open := <-woken:
			if !open {
				return ErrClosed
			}
		case <-timer.C:
		}
	}
}

// hub has those who wait on this node.
type hub struct {
	mu      sync.Mutex
	closed  bool
	waiters map[note]map[chan struct{}]bool
}

// join adds a waiter. A channel of one place keeps the last wake for one that is busy.
func (h *hub) join(n note) (woken <-chan struct{}, leave func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(c)
		return c, func() {}
	}
	if h.waiters == nil {
		h.waiters = map[note]map[chan struct{}]bool{}
	}
	if h.waiters[n] == nil {
		h.waiters[n] = map[chan struct{}]bool{}
	}
	h.waiters[n][c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[n], c)
		if len(h.waiters[n]) == 0 {
			delete(h.waiters, n)
		}
	}
}

func (h *hub) wake(n note) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wakeAll(h.waiters[n])
}

// wakeEverybody is for when it is not known what was missed.
func (h *hub) wakeEverybody() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, waiters := range h.waiters {
		wakeAll(waiters)
	}
}

func wakeAll(waiters map[chan struct{}]bool) {
	for c := range waiters {
		select {
		case c <- struct{}{}:
		default: // is woken already
		}
	}
}

func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, waiters := range h.waiters {
		for c := range waiters {
			close(c)
		}
	}
	h.waiters = nil
}

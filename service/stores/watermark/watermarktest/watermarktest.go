// Package watermarktest restores an older copy of a store, by the store's own means, and
// checks that a mark notices it, and that a recovery leaves every counter at least as
// high as the history that was lost.
package watermarktest

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// Database is a store, empty at first, that can be backed up and restored.
type Database struct {
	// Open returns a handle on the store, and Close ends it.
	Open  func() limiter.Store
	Close func(limiter.Store)
	// Backup copies the store as its operator would, while the handle is open.
	Backup func(limiter.Store)
	// Restore puts the copy in the place of the store. No handle is open.
	Restore func()
}

const keys = 10

// Run checks a store with one backup, restored after each of several histories.
func Run(t *testing.T, database func(t *testing.T) Database) {
	t.Run("NotLost", func(t *testing.T) { newHistory(t, database(t)).notLost() })
	t.Run("Restored", func(t *testing.T) { newHistory(t, database(t)).restored() })
}

type history struct {
	*testing.T
	db    Database
	mark  string
	store limiter.Store
	file  *watermark.File
	node  *watermark.Store
}

func newHistory(t *testing.T, db Database) *history {
	h := &history{T: t, db: db, mark: filepath.Join(t.TempDir(), "mark")}
	h.openBelow()
	require.NoError(t, watermark.Create(t.Context(), h.store, h.file))
	require.NoError(t, h.open())
	for i := range keys {
		l := h.limiter()
		require.NoError(t, l.Create(t.Context(), id(i)))
		h.guess(i, i%3) // 0 to 2 wrong PINs
	}
	return h
}

func id(i int) string { return fmt.Sprint("key/", i) }

func (h *history) openBelow() {
	h.store = h.db.Open()
	var err error
	h.file, err = watermark.OpenFile(h.mark)
	require.NoError(h, err)
}

func (h *history) open() (err error) {
	h.node, err = watermark.Open(h.Context(), h.store, h.file, watermark.Options{Log: slog.New(slog.DiscardHandler)})
	return err
}

// close ends node and handle in good order.
func (h *history) close() {
	if h.node != nil {
		require.NoError(h, h.node.Close())
	}
	h.node = nil
	require.NoError(h, h.file.Close())
	h.db.Close(h.store)
}

func (h *history) limiter() *limiter.Limiter {
	l, err := limiter.New(h.node, limiter.DefaultPolicy())
	require.NoError(h, err)
	return l
}

// guess makes wrong guesses at a key.
func (h *history) guess(i, wrong int) {
	for range wrong {
		err := h.limiter().Attempt(h.Context(), id(i), func(context.Context) (limiter.Outcome, error) { return limiter.Wrong, nil })
		require.True(h, limiter.IsVerdict(err), err)
	}
}

func (h *history) counters(store limiter.Store) (all []limiter.Counter) {
	for i := range keys {
		value, _, err := store.Load(h.Context(), id(i))
		require.NoError(h, err)
		c, err := limiter.ParseCounter(value)
		require.NoError(h, err)
		all = append(all, c)
	}
	return all
}

// notLost: a backup of the newest state, and the store itself, are taken.
func (h *history) notLost() {
	require.NoError(h, h.node.Close()) // so that the backup has the newest checkpoint
	h.node = nil
	h.db.Backup(h.store)
	before := h.counters(h.store)
	h.close()
	h.db.Restore()
	h.openBelow()
	require.NoError(h, h.open())
	require.Equal(h, before, h.counters(h.node))
	h.close()
}

// restored: a backup that lacks counts is refused until it is recovered.
func (h *history) restored() {
	h.db.Backup(h.store)
	for i := range keys {
		h.guess(i, 1+i%2)
	}
	require.NoError(h, limiter.Update(h.Context(), h.node, id(0), func(value []byte) ([]byte, error) {
		c, err := limiter.ParseCounter(value)
		require.NoError(h, err)
		return c.Destroy().MarshalBinary()
	}))
	lost := h.counters(h.node)
	h.close()
	h.db.Restore()

	for range 2 { // it stays so
		h.openBelow()
		require.ErrorIs(h, h.open(), watermark.ErrWentBack)
		h.node = nil
		h.close()
	}
	h.openBelow()
	r, err := watermark.BeginRecovery(h.Context(), h.file, time.Now())
	require.NoError(h, err)
	require.ErrorIs(h, h.open(), watermark.ErrWentBack)
	for i := range keys {
		h.charge(i, i == 0)
	}
	require.NoError(h, r.Finish(h.Context(), h.store))
	require.NoError(h, h.open())
	p, now := limiter.DefaultPolicy(), time.Now()
	for i, c := range h.counters(h.node) {
		is, err := p.Peek(c, now)
		require.NoError(h, err)
		was, err := p.Peek(lost[i], now)
		require.NoError(h, err)
		require.LessOrEqual(h, is.RemainingTotal, was.RemainingTotal)
		require.False(h, is.LockedUntil.Before(was.LockedUntil) && !is.Destroyed)
		require.Equal(h, i == 0, is.Destroyed)
	}
	h.guess(1, 3) // and counts on
	h.close()
}

// charge does what server.Server.Recover does to a record that is a counter alone.
func (h *history) charge(i int, destroyed bool) {
	require.NoError(h, limiter.Update(h.Context(), h.store, id(i), func(value []byte) ([]byte, error) {
		c, err := limiter.ParseCounter(value)
		require.NoError(h, err)
		if destroyed {
			return c.Destroy().MarshalBinary()
		}
		c, err = limiter.DefaultPolicy().Charge(c, -1, time.Now())
		require.NoError(h, err)
		return c.MarshalBinary()
	}))
}

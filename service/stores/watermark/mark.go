package watermark

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// Keeper keeps one mark of up to [MaxMark] bytes where no restore of the store turns it
// back: on another disk ([File]), in an HSM (package tokenkeeper). One node uses it.
type Keeper interface {
	// Load returns what was saved last, or [ErrNoMark] if nothing ever was.
	Load(ctx context.Context) ([]byte, error)
	// Save replaces the mark, durably once it returns nil. After an error either the old
	// mark or the new one is there, whole.
	Save(ctx context.Context, mark []byte) error
}

// MaxMark is the length of the longest mark in bytes.
const MaxMark = 128

var (
	// ErrNoMark is returned by a Keeper that has no mark, and by [Open] then: nobody
	// knows how far the store had come.
	ErrNoMark = errors.New("watermark: no mark")

	// ErrMark is returned for a mark that is damaged, or of a newer version.
	ErrMark = errors.New("watermark: damaged mark")

	// ErrWentBack is returned by [Open], and from then on by every method of a [Store],
	// once the store is known to have gone back in time. It stays so after a restart.
	ErrWentBack = errors.New("watermark: the store went back in time: recover it (docs/operating.md)")
)

// condition is whether the store may be used.
type condition uint8

const (
	sound      condition = 1
	wentBack   condition = 2
	recovering condition = 3
)

const (
	nonceSize   = 16
	markVersion = 1
	markSize    = 1 + nonceSize + checkpointSize + nonceSize + 8 + 1 + sumSize
	sumSize     = 16
)

type nonce [nonceSize]byte

func draw() (n nonce) {
	rand.Read(n[:])
	return n
}

// mark is what a node knows outside of the store.
type mark struct {
	name      nonce      // of this node's checkpoint in the store
	last      checkpoint // the newest that is known to be in the store
	next      nonce      // of the one after it, which may be there
	recovered int64      // when the latest recovery began, in milliseconds; 0 for none
	condition condition
}

func newMark() mark {
	return mark{name: draw(), last: checkpoint{1, draw()}, next: draw(), condition: sound}
}

// id is where the store has the node's checkpoint.
func (m mark) id() string { return prefix + hex.EncodeToString(m.name[:]) }

// prefix of the ids that this package keeps to itself.
const prefix = "watermark/"

// encode returns, all integers being big-endian:
//
//	offset  length  content
//	0       1       version: 1
//	1       16      name of the node's checkpoint
//	17      24      the newest checkpoint known to be in the store: number, nonce
//	41      16      nonce of the one after it
//	57      8       time at which the latest recovery began, in milliseconds since 1970
//	65      1       1 sound, 2 went back, 3 a recovery has begun
//	66      16      first half of SHA-256 of the above
func (m mark) encode() []byte {
	b := append([]byte{markVersion}, m.name[:]...)
	b = m.last.append(b)
	b = append(b, m.next[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(m.recovered))
	b = append(b, byte(m.condition))
	sum := sha256.Sum256(b)
	return append(b, sum[:sumSize]...)
}

func parseMark(b []byte) (m mark, err error) {
	if len(b) != markSize || b[0] != markVersion {
		return m, fmt.Errorf("%w: %d bytes", ErrMark, len(b))
	}
	body := b[:markSize-sumSize]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:sumSize], b[len(body):]) {
		return m, fmt.Errorf("%w: its checksum is wrong", ErrMark)
	}
	copy(m.name[:], b[1:])
	m.last = readCheckpoint(b[17:])
	copy(m.next[:], b[41:])
	m.recovered = int64(binary.BigEndian.Uint64(b[57:]))
	m.condition = condition(b[65])
	if m.condition < sound || m.condition > recovering || m.recovered < 0 {
		return m, fmt.Errorf("%w: condition %d, time %d", ErrMark, m.condition, m.recovered)
	}
	return m, nil
}

func load(ctx context.Context, k Keeper) (mark, error) {
	b, err := k.Load(ctx)
	if err != nil {
		return mark{}, err
	}
	return parseMark(b)
}

// checkpoint is what the store holds of a node.
type checkpoint struct {
	number uint64
	nonce  nonce
}

const checkpointSize = 8 + nonceSize

func (c checkpoint) append(b []byte) []byte {
	return append(binary.BigEndian.AppendUint64(b, c.number), c.nonce[:]...)
}

func readCheckpoint(b []byte) (c checkpoint) {
	c.number = binary.BigEndian.Uint64(b)
	copy(c.nonce[:], b[8:])
	return c
}

// following is the checkpoint after the mark's.
func (m mark) following() checkpoint { return checkpoint{m.last.number + 1, m.next} }

// advance makes c the mark's checkpoint.
func (m mark) advance(c checkpoint) mark {
	m.last, m.next = c, draw()
	return m
}

// find loads the node's checkpoint. The error wraps [ErrWentBack] unless it is the mark's
// or the one after it.
func (m mark) find(ctx context.Context, store limiter.Store) (c checkpoint, version uint64, err error) {
	value, version, err := store.Load(ctx, m.id())
	if errors.Is(err, limiter.ErrNotFound) {
		return c, 0, fmt.Errorf("%w: it has no checkpoint of this node, whose mark is at %d", ErrWentBack, m.last.number)
	}
	if err != nil {
		return c, 0, err
	}
	if len(value) != checkpointSize {
		return c, 0, fmt.Errorf("%w: a checkpoint of %d bytes", ErrWentBack, len(value))
	}
	if c = readCheckpoint(value); c != m.last && c != m.following() {
		return c, 0, fmt.Errorf("%w: it is at checkpoint %d, and the mark at %d", ErrWentBack, c.number, m.last.number)
	}
	return c, version, nil
}

// refuses returns why the mark has the store refused, whatever it holds, or nil.
func (m mark) refuses() error {
	switch m.condition {
	case wentBack:
		return fmt.Errorf("%w: as was found before", ErrWentBack)
	case recovering:
		return fmt.Errorf("%w: a recovery has begun, and is not finished", ErrWentBack)
	}
	return nil
}

// Check compares a store with its mark, as [Open] does, and changes neither.
func Check(ctx context.Context, store limiter.Store, k Keeper) error {
	if ctx == nil || isnil.Value(store) || isnil.Value(k) {
		return errNothing
	}
	m, err := load(ctx, k)
	if err != nil {
		return err
	}
	if err := m.refuses(); err != nil {
		return err
	}
	_, _, err = m.find(ctx, store)
	return err
}

// time returns when the latest recovery began.
func (m mark) time() time.Time { return time.UnixMilli(m.recovered).UTC() }

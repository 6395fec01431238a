package storetest

import (
	"bytes"
	"context"
	"math"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// load returns a record that must exist, with a version in the permitted range.
func load(t tester, s limiter.Store, id string) ([]byte, uint64) {
	t.Helper()
	value, version, err := s.Load(context.Background(), id)
	require.NoError(t, err)
	require.Positive(t, version)
	require.LessOrEqual(t, version, uint64(math.MaxInt64))
	return value, version
}

func create(t tester, s limiter.Store, id, value string) {
	t.Helper()
	require.NoError(t, s.Create(context.Background(), id, []byte(value)))
}

// swap replaces the current value of id.
func swap(t tester, s limiter.Store, id, value string) {
	t.Helper()
	_, version := load(t, s, id)
	require.NoError(t, s.Swap(context.Background(), id, version, []byte(value)))
}

func requireValue(t tester, s limiter.Store, id, want string) {
	t.Helper()
	value, _ := load(t, s, id)
	require.Equal(t, want, string(value))
}

func requireConflict(t tester, s limiter.Store, id string, version uint64) {
	t.Helper()
	before, was := load(t, s, id)
	require.ErrorIs(t, s.Swap(context.Background(), id, version, []byte("conflicting")), limiter.ErrConflict)
	after, is := load(t, s, id)
	require.Equal(t, string(before), string(after), "a conflict changed the value")
	require.Equal(t, was, is, "a conflict changed the version")
}

// versions are those that a record had.
type versions map[uint64]bool

// note adds the version of the record "id", which must be above all others, and returns
// it.
func (v versions) note(t tester, s limiter.Store) uint64 {
	t.Helper()
	_, version := load(t, s, "id")
	for earlier := range v {
		require.Less(t, earlier, version, "a version that is not above the earlier ones")
	}
	v[version] = true
	return version
}

func createLoad(t tester, s limiter.Store) {
	create(t, s, "id", "value")
	_, first := load(t, s, "id")
	for range 3 * nodes {
		requireValue(t, s, "id", "value")
		_, again := load(t, s, "id")
		require.Equal(t, first, again, "loading changed the version")
	}
}

func loadUnknown(t tester, s limiter.Store) {
	for range 3 * nodes {
		_, _, err := s.Load(context.Background(), "id")
		require.ErrorIs(t, err, limiter.ErrNotFound)
	}
	create(t, s, "id", "value")
	for range 3 * nodes {
		requireValue(t, s, "id", "value")
	}
	_, _, err := s.Load(context.Background(), "other")
	require.ErrorIs(t, err, limiter.ErrNotFound)
}

func createTwice(t tester, s limiter.Store) {
	create(t, s, "id", "first")
	_, version := load(t, s, "id")
	for _, value := range []string{"second", "first", ""} {
		require.ErrorIs(t, s.Create(context.Background(), "id", []byte(value)), limiter.ErrConflict)
		requireValue(t, s, "id", "first")
		_, now := load(t, s, "id")
		require.Equal(t, version, now)
	}
	swap(t, s, "id", "swapped")
	require.ErrorIs(t, s.Create(context.Background(), "id", []byte("again")), limiter.ErrConflict)
	requireValue(t, s, "id", "swapped")
}

func swapCurrent(t tester, s limiter.Store) {
	create(t, s, "id", "0")
	for _, value := range []string{"1", "two", "", "4", "5", "6", "7"} {
		swap(t, s, "id", value)
		requireValue(t, s, "id", value)
		requireValue(t, s, "id", value)
	}
}

func swapUnknown(t tester, s limiter.Store) {
	create(t, s, "other", "value")
	_, version := load(t, s, "other")
	for _, v := range []uint64{0, 1, version, math.MaxInt64} {
		require.ErrorIs(t, s.Swap(context.Background(), "id", v, []byte("value")), limiter.ErrConflict)
		_, _, err := s.Load(context.Background(), "id")
		require.ErrorIs(t, err, limiter.ErrNotFound, "a swap created a record")
	}
}

func swapStale(t tester, s limiter.Store) {
	create(t, s, "id", "0")
	_, first := load(t, s, "id")
	swap(t, s, "id", "1")
	_, second := load(t, s, "id")
	swap(t, s, "id", "2")
	requireConflict(t, s, "id", first)
	requireConflict(t, s, "id", second)
	swap(t, s, "id", "0") // as at first, but the versions stay stale
	requireConflict(t, s, "id", first)
	requireConflict(t, s, "id", second)
}

func swapOtherVersions(t tester, s limiter.Store) {
	create(t, s, "id", "0")
	swap(t, s, "id", "1")
	_, version := load(t, s, "id")
	for _, v := range []uint64{0, version - 1, version + 1, version + 1<<32, version | 1<<63, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		if v != version {
			requireConflict(t, s, "id", v)
		}
	}
}

func versionNeverReused(t tester, s limiter.Store) {
	create(t, s, "id", "a")
	seen := make(versions)
	for i := range 50 {
		seen.note(t, s)
		swap(t, s, "id", []string{"b", "a"}[i%2])
	}
}

func sameValue(t tester, s limiter.Store) {
	create(t, s, "id", "value")
	_, before := load(t, s, "id")
	swap(t, s, "id", "value")
	_, after := load(t, s, "id")
	require.NotEqual(t, before, after, "a swap for the same value kept the version")
	requireConflict(t, s, "id", before)
}

func values(t tester, s limiter.Store) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	long := bytes.Repeat(every, limiter.MaxValue/len(every))
	for i, value := range []string{
		"", "\x00", "\x00\x00", "a\x00b", "\xff\xfe", string(every), string(long[1:]), string(long),
	} {
		id := string(rune('a' + i))
		create(t, s, id, value)
		requireValue(t, s, id, value)
		swap(t, s, id, "between")
		swap(t, s, id, value)
		requireValue(t, s, id, value)
	}
	ctx := context.Background()
	require.NoError(t, s.Create(ctx, "nil", nil))
	requireValue(t, s, "nil", "")
	_, version := load(t, s, "nil")
	require.NoError(t, s.Swap(ctx, "nil", version, nil))
	requireValue(t, s, "nil", "")
}

// oddIDs are pairs and triples that a store could take for one another.
var oddIDs = []string{
	"a", "A", "a ", " a", "a\x00", "a\x00b", "\x00", "\x00\x00", "\n", "\r\n", "\xff", "\xff\xff",
	// composed, decomposed, Latin-1; case folding
	"\xc3\xa9", "e\xcc\x81", "\xe9", "ä", "ß", "ss",
	".", "..", "../a", "a/b", "a\\b", "/", "%00", "%", "_", "a%", "*", "?", "'", "\"", "';--", "$1", "{}", "0", "00", "-1", "null",
	strings.Repeat("x", limiter.MaxID), strings.Repeat("x", limiter.MaxID-1), strings.Repeat("\x00", limiter.MaxID),
	strings.Repeat("\xff", limiter.MaxID), strings.Repeat("x", limiter.MaxID-1) + "y",
}

func ids(t tester, s limiter.Store) {
	for _, id := range oddIDs {
		create(t, s, id, "created "+id)
	}
	for _, id := range oddIDs {
		requireValue(t, s, id, "created "+id)
		swap(t, s, id, "swapped "+id)
	}
	for _, id := range oddIDs {
		requireValue(t, s, id, "swapped "+id)
		require.ErrorIs(t, s.Create(context.Background(), id, nil), limiter.ErrConflict)
	}
}

func limits(t tester, s limiter.Store) {
	ctx := context.Background()
	for _, id := range []string{"", strings.Repeat("x", limiter.MaxID+1), strings.Repeat("x", 1<<16)} {
		require.ErrorIs(t, s.Create(ctx, id, []byte("value")), limiter.ErrLimit)
		require.ErrorIs(t, s.Swap(ctx, id, 1, []byte("value")), limiter.ErrLimit)
		_, _, err := s.Load(ctx, id)
		require.ErrorIs(t, err, limiter.ErrLimit)
	}
	long := make([]byte, limiter.MaxValue+1)
	require.ErrorIs(t, s.Create(ctx, "id", long), limiter.ErrLimit)
	_, _, err := s.Load(ctx, "id")
	require.ErrorIs(t, err, limiter.ErrNotFound)
	create(t, s, "id", "value")
	_, version := load(t, s, "id")
	require.ErrorIs(t, s.Swap(ctx, "id", version, long), limiter.ErrLimit)
	requireValue(t, s, "id", "value")
	require.NoError(t, s.Swap(ctx, "id", version, []byte("version unchanged")))
}

func recordsApart(t tester, s limiter.Store) {
	create(t, s, "a", "a0")
	create(t, s, "b", "b0")
	_, a := load(t, s, "a")
	_, b := load(t, s, "b")
	swap(t, s, "a", "a1")
	requireValue(t, s, "b", "b0")
	_, now := load(t, s, "b")
	require.Equal(t, b, now, "a write of one record changed another's version")
	require.NoError(t, s.Swap(context.Background(), "b", b, []byte("b1")))
	requireValue(t, s, "a", "a1")
	requireConflict(t, s, "a", a)
}

// page is a value long enough that a store keeps it as it is, where a short one may be
// copied in passing.
func page(c byte) []byte { return bytes.Repeat([]byte{c}, 8<<10) }

func copiesOnWrite(t tester, s limiter.Store) {
	ctx := context.Background()
	value := page('c')
	require.NoError(t, s.Create(ctx, "id", value))
	clear(value)
	requireValue(t, s, "id", string(page('c')))
	_, version := load(t, s, "id")
	value = page('s')
	require.NoError(t, s.Swap(ctx, "id", version, value))
	clear(value)
	requireValue(t, s, "id", string(page('s')))
}

func copiesOnRead(t tester, s limiter.Store) {
	create(t, s, "id", string(page('v')))
	earlier, _ := load(t, s, "id")
	for i := range 5 { // until what was freed is used again
		swap(t, s, "id", string(page('0'+byte(i))))
	}
	require.Equal(t, page('v'), earlier, "a later write reached an earlier answer")
	first, _ := load(t, s, "id")
	second, _ := load(t, s, "id")
	clear(first)
	_ = append(first[:0], "overwritten by append"...)
	require.Equal(t, page('4'), second, "two loads share memory")
	requireValue(t, s, "id", string(page('4')))
}

func contextDone(t tester, s limiter.Store) {
	create(t, s, "id", "value")
	_, version := load(t, s, "id")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// Several times: a store that selects between the context and the work passes now and
	// then. Its worker is given time to wait for work, or there is nothing to select.
	for range 20 {
		time.Sleep(time.Millisecond)
		_, _, err := s.Load(ctx, "id")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, s.Create(ctx, "new", []byte("value")), context.Canceled)
		require.ErrorIs(t, s.Swap(ctx, "id", version, []byte("other")), context.Canceled)
	}
	_, _, err := s.Load(context.Background(), "new")
	require.ErrorIs(t, err, limiter.ErrNotFound, "a cancelled Create wrote")
	require.NoError(t, s.Swap(context.Background(), "id", version, []byte("later")), "a cancelled Swap wrote")
	requireValue(t, s, "id", "later")
}

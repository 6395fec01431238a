package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// flipKeys is how many records a file has whose bits are flipped: enough for a branch
// with some leaves, and few enough to compare all of them after each flip.
const flipKeys = 16

// flipped is a store whose file is damaged bit by bit, with what it held before.
type flipped struct {
	path   string
	whole  []byte // of the file, up to its last used page
	values map[string]string
}

// newFlipped writes a store in which every record has been swapped, so that older copies
// of its pages are in the file, as if with fewer wrong PINs.
func newFlipped(t *testing.T, keys, length int) *flipped {
	f := &flipped{path: filepath.Join(t.TempDir(), "store"), values: make(map[string]string)}
	s := open(t, f.path)
	for _, round := range []string{"old", "new"} {
		for i := range keys {
			id := fmt.Sprintf("key %02d", i)
			value := fmt.Sprintf("%s %s %s", id, round, bytes.Repeat([]byte{'x'}, length))
			if round == "old" {
				require.NoError(t, s.Create(t.Context(), id, []byte(value)))
			} else {
				_, version, err := s.Load(t.Context(), id)
				require.NoError(t, err)
				require.NoError(t, s.Swap(t.Context(), id, version, []byte(value)))
			}
			f.values[id] = value
		}
	}
	require.NoError(t, s.Close())
	b, err := os.ReadFile(f.path)
	require.NoError(t, err)
	f.whole = b[:usedBytes(t, b)]
	return f
}

// requireTruth loads every record, and some that are not there, and lists them: each
// answer is right, or an error. It reports whether all were right.
func (f *flipped) requireTruth(t *testing.T, s *Store, where string) bool {
	t.Helper()
	whole := true
	for id, want := range f.values {
		value, _, err := s.Load(context.Background(), id)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged, where)
			whole = false
			continue
		}
		require.Equal(t, want, string(value), "%s: another value", where)
	}
	for _, id := range []string{"a", "key 07b", "key 16", "z"} {
		_, _, err := s.Load(context.Background(), id)
		require.Error(t, err, where)
		if !errors.Is(err, limiter.ErrNotFound) {
			require.ErrorIs(t, err, ErrDamaged, where)
			whole = false
		}
	}
	ids, err := s.List(context.Background(), "key ", "", 1000)
	if err != nil {
		require.ErrorIs(t, err, ErrDamaged, where)
		return false
	}
	require.Len(t, ids, len(f.values), "%s: ids were lost", where)
	for _, id := range ids {
		require.Contains(t, f.values, id, where)
	}
	return whole
}

// bits returns the bits to flip: all of both meta pages and of the branches, one in thin
// in the heads of other pages, and a sample of the rest; with -short one in eight of
// these.
func (f *flipped) bits(thin, sample int) (bits []int) {
	for page := 0; page < len(f.whole); page += pageSize {
		length, thin := pageHeader+elementLength, thin
		if flags := native.Uint16(f.whole[page+8:]); flags == branchPage {
			length, thin = pageHeader+int(native.Uint16(f.whole[page+10:]))*(elementLength+len("0key 00")), 1
		} else if page < 2*pageSize {
			length, thin = pageHeader+metaLength, 1
		}
		for bit := range 8 * length {
			if rand.IntN(thin) == 0 {
				bits = append(bits, 8*page+bit)
			}
		}
	}
	for range sample {
		bits = append(bits, rand.IntN(8*len(f.whole)))
	}
	if testing.Short() {
		bits = slices.DeleteFunc(bits, func(int) bool { return rand.IntN(8) > 0 })
	}
	return bits
}

func flipBit(b []byte, bit int) { b[bit/8] ^= 1 << (bit % 8) }

// TestFlippedBitsInAFile: a closed file with one flipped bit is refused, or holds what it
// held. Most are read in memory, and some as files.
func TestFlippedBitsInAFile(t *testing.T) {
	f := newFlipped(t, flipKeys, 300)
	b := bytes.Clone(f.whole)
	refused, bits := 0, f.bits(1, 2000)
	for i, bit := range bits {
		flipBit(b, bit)
		where := fmt.Sprintf("bit %d of byte %d of page %d", bit%8, bit/8%pageSize, bit/8/pageSize)
		snap, err := checkBytes(b)
		if err == nil {
			// The bit means nothing: it is in a free page, or behind the end of what a
			// page holds.
			for id, want := range f.values {
				r, found, err := snap.lookup(recordKey(id))
				require.NoError(t, err, where)
				require.True(t, found, where)
				require.Equal(t, want, string(r.value), where)
			}
		} else {
			require.True(t, errors.Is(err, ErrDamaged) || errors.Is(err, ErrFormat), "%s: %v", where, err)
			refused++
		}
		if i%100 == 0 {
			require.NoError(t, os.WriteFile(f.path, b, 0o600))
			s, openErr := Open(f.path, Options{})
			require.Equal(t, err == nil, openErr == nil, "%s: %v", where, openErr)
			if openErr == nil {
				require.True(t, f.requireTruth(t, s, where))
				require.NoError(t, s.Close())
			}
		}
		flipBit(b, bit)
	}
	require.Greater(t, refused, len(bits)/4)
}

// checkBytes checks a file as Open does.
func checkBytes(b []byte) (*snapshot, error) {
	r := bytes.NewReader(b)
	m, err := newestMeta(r, pageSize)
	if err != nil {
		return nil, err
	}
	return checkSnapshot(context.Background(), r, m)
}

// TestEveryFlippedBitOfARecord: under a running store each bit of one record is flipped,
// in its id, its version, its checksum and its value. The wrong PINs in it stay, or
// nobody gets an answer.
func TestEveryFlippedBitOfARecord(t *testing.T) {
	f := newFlipped(t, flipKeys, 300)
	s := open(t, f.path)
	id := "key 11"
	_, version, err := s.Load(t.Context(), id)
	require.NoError(t, err)
	stored := append(recordKey(id), record{version, []byte(f.values[id])}.encode(recordKey(id))...)
	at := f.find(t, stored)
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	for bit := 8 * at; bit < 8*(at+len(stored)); bit++ {
		b := bytes.Clone(f.whole[bit/8 : bit/8+1])
		b[0] ^= 1 << (bit % 8)
		_, err := file.WriteAt(b, int64(bit/8))
		require.NoError(t, err)
		_, _, err = s.Load(t.Context(), id)
		require.ErrorIs(t, err, ErrDamaged, "bit %d", bit-8*at)
		require.ErrorIs(t, s.Swap(t.Context(), id, version, []byte("tries left: all")), ErrDamaged)
		require.ErrorIs(t, s.Create(t.Context(), id, []byte("tries left: all")), ErrDamaged)
		require.ErrorIs(t, s.Check(t.Context()), ErrDamaged)
		_, err = file.WriteAt(f.whole[bit/8:bit/8+1], int64(bit/8))
		require.NoError(t, err)
	}
	require.True(t, f.requireTruth(t, s, "in the end"))
	require.NoError(t, s.Swap(t.Context(), id, version, []byte("value")))
}

// find returns where a record is in the pages in use; free pages have copies of it.
func (f *flipped) find(t *testing.T, stored []byte) int {
	snap, err := checkBytes(f.whole)
	require.NoError(t, err)
	for at := 0; ; at++ {
		next := bytes.Index(f.whole[at:], stored)
		require.NotEqual(t, -1, next, "no such record")
		at += next
		free, err := snap.freed(uint64(at / pageSize))
		require.NoError(t, err)
		if !free {
			return at
		}
	}
}

// TestFlippedBitsUnderAStore: a bit that flips under a running store gives right answers
// or errors.
func TestFlippedBitsUnderAStore(t *testing.T) {
	f := newFlipped(t, flipKeys, 300)
	s := open(t, f.path)
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	errs, bits := 0, f.bits(4, 300)
	for _, bit := range bits {
		b := []byte{f.whole[bit/8] ^ 1<<(bit%8)}
		_, err := file.WriteAt(b, int64(bit/8))
		require.NoError(t, err)
		if !f.requireTruth(t, s, fmt.Sprintf("bit %d of byte %d of page %d", bit%8, bit/8%pageSize, bit/8/pageSize)) {
			errs++
		}
		_, err = file.WriteAt(f.whole[bit/8:bit/8+1], int64(bit/8))
		require.NoError(t, err)
	}
	require.Greater(t, errs, len(bits)/5)
	require.True(t, f.requireTruth(t, s, "in the end"))
}

// TestWritesOnDamagedPages flips bits of what a write needs most: the heads of all pages
// in use, among them how long they are, which bbolt would free page by page. A write
// fails, or the file is good after it, and none takes more memory than the file.
func TestWritesOnDamagedPages(t *testing.T) {
	f := newFlipped(t, flipKeys, 300)
	var bits []int
	for page := 0; page < len(f.whole); page += pageSize {
		for _, byt := range []int{8, 10, 11, 12, 13, 15, 16, 20, 24} {
			bits = append(bits, 8*(page+byt)+rand.IntN(8))
		}
	}
	failed := 0
	for _, bit := range bits {
		where := fmt.Sprintf("bit %d of byte %d of page %d", bit%8, bit/8%pageSize, bit/8/pageSize)
		require.NoError(t, os.WriteFile(f.path, f.whole, 0o600))
		s := open(t, f.path)
		file, err := os.OpenFile(f.path, os.O_RDWR, 0)
		require.NoError(t, err)
		_, err = file.WriteAt([]byte{f.whole[bit/8] ^ 1<<(bit%8)}, int64(bit/8))
		require.NoError(t, err)
		require.NoError(t, file.Close())
		values := make(map[string]string)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		hit := false
		for _, id := range []string{"key 00", "key 10", "key 15"} {
			_, version, err := s.Load(t.Context(), id)
			if err == nil {
				err = s.Swap(t.Context(), id, version, []byte("later"))
			}
			if err != nil {
				// Else bbolt found it, in a neighbour of the pages that were checked.
				require.True(t, errors.Is(err, ErrDamaged) || s.usable() != nil, "%s: %v", where, err)
				hit = true
				continue
			}
			values[id] = "later"
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20), where)
		require.NoError(t, s.Close(), where)
		if hit {
			failed++
		} else if CheckFile(t.Context(), f.path) == nil {
			s = open(t, f.path)
			for id, want := range values {
				value, _, err := s.Load(t.Context(), id)
				require.NoError(t, err, where)
				require.Equal(t, want, string(value), where)
			}
			require.NoError(t, s.Close())
		}
	}
	require.Greater(t, failed, len(bits)/10)
}

// TestOldCopyOfAPage: a branch that leads to an older copy of the right page, to another
// of its leaves, or to itself, leads nowhere. The older copy has every mark of the right
// one, and the other leaf is in use.
func TestOldCopyOfAPage(t *testing.T) {
	f := newFlipped(t, flipKeys, 700)
	s := open(t, f.path)
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	snap, err := checkBytes(f.whole)
	require.NoError(t, err)
	branch, err := snap.page(snap.records.root)
	require.NoError(t, err)
	require.False(t, branch.leaf)
	require.Greater(t, len(branch.elements), 2, "a leaf between two others")
	copies := 0
	for i, e := range branch.elements {
		at := int64(snap.records.root)*pageSize + pageHeader + int64(i)*elementLength + 8
		for id := uint64(2); id < snap.end; id++ {
			b := f.whole[id*pageSize:]
			old, err := parsePage(id, b[:min(len(b), (int(native.Uint32(b[12:]))+1)*pageSize)], pageSize)
			twin := err == nil && id != e.child && len(old.elements) > 0 && bytes.Equal(old.elements[0].key, e.key)
			sibling := slices.ContainsFunc(branch.elements, func(o element) bool { return o.child == id && id != e.child })
			if !twin && !sibling && id != snap.records.root {
				continue
			}
			copies++
			_, err = file.WriteAt(native.AppendUint64(nil, id), at)
			require.NoError(t, err)
			require.False(t, f.requireTruth(t, s, fmt.Sprintf("page %d in place of %d", id, e.child)))
			require.ErrorIs(t, s.Check(t.Context()), ErrDamaged)
			require.ErrorIs(t, s.Backup(t.Context(), &bytes.Buffer{}), ErrDamaged)
		}
		_, err := file.WriteAt(native.AppendUint64(nil, e.child), at)
		require.NoError(t, err)
	}
	require.Greater(t, copies, len(branch.elements)*len(branch.elements))
	require.True(t, f.requireTruth(t, s, "in the end"))
}

// TestFreelist: bbolt writes to every page in the freelist, and never again to one that
// is neither there nor in use. Both kinds of fault are found before bbolt is called.
func TestFreelist(t *testing.T) {
	f := newFlipped(t, flipKeys, 300)
	snap, err := checkBytes(f.whole)
	require.NoError(t, err)
	var ids []uint64
	for i := range snap.free {
		ids = append(ids, native.Uint64(f.whole[int(snap.freeAt)+8*i:]))
	}
	require.Greater(t, len(ids), 2)
	for name, c := range map[string]struct {
		ids  []uint64
		want string
	}{
		"a page in use":     {append(slices.Clone(ids), snap.records.root), "in use and free"},
		"the freelist":      {append(slices.Clone(ids), snap.freelist), "used twice"},
		"a meta page":       {append(slices.Clone(ids), 1), "page 1 after 1"},
		"a page twice":      {append(slices.Clone(ids), ids[2]), "after"},
		"beyond the end":    {append(slices.Clone(ids), snap.end), "after"},
		"one page less":     {ids[1:], "has no use"},
		"more than fit":     {make([]uint64, 600), "a freelist of 600 pages"},
		"more than a count": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(f.whole)
			slices.Sort(c.ids)
			native.PutUint16(b[int(snap.freelist)*pageSize+10:], uint16(len(c.ids)))
			if c.ids == nil {
				// A count of 0xffff says that the real one comes first.
				native.PutUint16(b[int(snap.freelist)*pageSize+10:], 0xffff)
				native.PutUint64(b[snap.freeAt:], 1<<40)
			}
			for i, id := range c.ids[:min(len(c.ids), 500)] {
				native.PutUint64(b[int(snap.freeAt)+8*i:], id)
			}
			_, err := checkBytes(b)
			require.ErrorIs(t, err, ErrDamaged)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestPageOutOfOrder: a search on a page that is out of order would miss a record. The
// two records that have changed places are whole, and their elements in place.
func TestPageOutOfOrder(t *testing.T) {
	f := newFlipped(t, flipKeys, 300)
	snap, err := checkBytes(f.whole)
	require.NoError(t, err)
	branch, err := snap.page(snap.records.root)
	require.NoError(t, err)
	at := int(branch.elements[1].child) * pageSize
	page := f.whole[at : at+pageSize]
	p, err := parsePage(branch.elements[1].child, page, pageSize)
	require.NoError(t, err)
	first := bytes.Join([][]byte{p.elements[1].key, p.elements[1].value}, nil)
	second := bytes.Join([][]byte{p.elements[2].key, p.elements[2].value}, nil)
	require.Len(t, second, len(first))
	start := bytes.Index(page, first)
	copy(page[start:], append(second, first...))
	_, err = parsePage(branch.elements[1].child, page, pageSize)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "out of order")
}

package bolt

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFileBounds: the last page must be there, and pages that lie outside are found
// before they are read.
func TestFileBounds(t *testing.T) {
	b := filled(t, filepath.Join(t.TempDir(), "store"))
	_, err := checkBytes(b)
	require.NoError(t, err)
	used := usedBytes(t, b)
	_, err = checkBytes(b[:used])
	require.NoError(t, err)
	for _, n := range []int{1, pageSize, 2 * pageSize} {
		s, err := checkBytes(b[:used-n])
		require.ErrorIs(t, err, ErrDamaged, "%d bytes less", n)
		require.Nil(t, s)
	}

	m, err := newestMeta(bytes.NewReader(b), pageSize)
	require.NoError(t, err)
	s, err := newSnapshot(bytes.NewReader(b), m, nil)
	require.NoError(t, err)
	for _, page := range []uint64{0, 1, s.end, s.end + 1} {
		_, err := s.page(page)
		require.ErrorIs(t, err, ErrDamaged, "page %d", page)
		require.ErrorContains(t, err, " of ")
	}
	// An overflow that reaches the end, and beyond it.
	damaged := bytes.Clone(b)
	last := s.end - 1
	header := damaged[int(last)*pageSize:]
	native.PutUint32(header[12:], 1)
	s.file = bytes.NewReader(damaged)
	_, err = s.page(last)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "overflow")

	// An overflow longer than any page, in a file that is long enough.
	s.end = 1 << 20
	native.PutUint32(header[12:], maxPage/pageSize)
	_, err = s.page(last)
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "has an overflow of")
	s.end = last + 1

	// The root: its page damaged.
	damaged = bytes.Clone(b)
	clear(damaged[int(s.root)*pageSize:][:pageHeader])
	again, err := newSnapshot(bytes.NewReader(damaged), m, nil)
	require.ErrorIs(t, err, ErrDamaged)
	require.Nil(t, again)
}

// TestPageSizes: those that bbolt may have.
func TestPageSizes(t *testing.T) {
	for size, ok := range map[uint32]bool{0: false, 512: false, 1024: true, 1025: false, 4096: true, 1 << 16: true, 1 << 17: false} {
		b := make([]byte, pageHeader+metaLength)
		m := b[pageHeader:]
		native.PutUint32(m, metaMagic)
		native.PutUint32(m[4:], metaVersion)
		native.PutUint32(m[8:], size)
		native.PutUint64(m[metaLength-8:], metaSum(m))
		got, err := parseMeta(b)
		if !ok {
			require.ErrorIs(t, err, ErrDamaged, size)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, int(size), got.pageSize)
	}
}

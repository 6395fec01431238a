package watermark

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/durable"
)

func someMark() mark {
	return mark{name: nonce{1}, last: checkpoint{7, nonce{2}}, next: nonce{3}, recovered: 4, condition: sound}
}

// TestMarkEncoding: a mark is read as it was written; with any bit flipped, or another
// length, it is refused.
func TestMarkEncoding(t *testing.T) {
	for _, c := range []condition{sound, wentBack, recovering} {
		m := someMark()
		m.condition = c
		b := m.encode()
		require.LessOrEqual(t, len(b), MaxMark)
		again, err := parseMark(b)
		require.NoError(t, err)
		require.Equal(t, m, again)
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			_, err := parseMark(b)
			require.ErrorIs(t, err, ErrMark, "bit %d", i)
			b[i/8] ^= 1 << (i % 8)
		}
		for n := range b {
			_, err := parseMark(b[:n])
			require.ErrorIs(t, err, ErrMark)
		}
		_, err = parseMark(append(b, 0))
		require.ErrorIs(t, err, ErrMark)
	}
	for _, bad := range []func(*mark){
		func(m *mark) { m.condition = 0 }, func(m *mark) { m.condition = recovering + 1 }, func(m *mark) { m.recovered = -1 },
	} {
		m := someMark()
		bad(&m)
		_, err := parseMark(m.encode())
		require.ErrorIs(t, err, ErrMark)
	}
}

// TestSeen: what was used last is remembered, as much as is promised and twice that at
// most.
func TestSeen(t *testing.T) {
	s := newSeen(10)
	for i := range 100 {
		s.note(fmt.Sprint(i), uint64(i+1))
		s.note("often", 50)
		require.LessOrEqual(t, len(s.now)+len(s.old), 20)
		for j := max(0, i-8); j <= i; j++ {
			require.Equal(t, uint64(j+1), s.version(fmt.Sprint(j)))
		}
	}
	s.note("often", 3)
	require.Equal(t, uint64(50), s.version("often"))
	require.Zero(t, s.version("0"))
}

// TestFile: a mark outlasts its process, is replaced as a whole, and has one user.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mark")
	f, err := OpenFile(name)
	require.NoError(t, err)
	_, err = f.Load(t.Context())
	require.ErrorIs(t, err, ErrNoMark)
	_, err = OpenFile(name)
	require.ErrorIs(t, err, ErrInUse)
	below := newRecords()
	require.NoError(t, Create(t.Context(), below, f))
	s := open(t, below, f, Options{Lag: NoLag})
	write(t, s, "key", "value")
	require.NoError(t, s.Close())
	require.NoError(t, f.Close())
	require.Error(t, f.Close())
	_, err = f.Load(t.Context())
	require.Error(t, err)
	require.Error(t, f.Save(t.Context(), nil))
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077)
	require.NoError(t, os.WriteFile(name+".new", []byte("half"), 0o600))
	f, err = OpenFile(name)
	require.NoError(t, err)
	require.NoFileExists(t, name+".new")
	require.NoError(t, open(t, below, f, Options{}).Close())
	require.NoError(t, f.Close())
}

// TestFileIsSynced: each mark is on the disk before Save returns, file and folder.
func TestFileIsSynced(t *testing.T) {
	var steps []durable.Op
	disk := durable.Observed(func(s durable.Step) error {
		steps = append(steps, s.Op)
		return nil
	})
	f, err := openFile(disk, filepath.Join(t.TempDir(), "mark"))
	require.NoError(t, err)
	defer f.Close()
	steps = nil
	require.NoError(t, f.Save(t.Context(), someMark().encode()))
	require.Equal(t, []durable.Op{durable.Remove, durable.Create, durable.Write, durable.Sync, durable.Close, durable.Rename, durable.SyncFolder}, steps)
}

var writeCorpus = flag.Bool("write-corpus", false, "write the corpora of the fuzz targets")

// TestCorpora: the committed corpus is what corpus makes.
func TestCorpora(t *testing.T) {
	folder := filepath.Join("testdata", "fuzz", "FuzzParseMark")
	corpus := corpus()
	if *writeCorpus {
		require.NoError(t, os.MkdirAll(folder, 0o755))
		for name, b := range corpus {
			require.NoError(t, os.WriteFile(filepath.Join(folder, name), fmt.Appendf(nil, "go test fuzz v1\n[]byte(%q)\n", b), 0o644))
		}
	}
	for name := range corpus {
		require.FileExists(t, filepath.Join(folder, name), "go test -run TestCorpora -write-corpus")
	}
}

func corpus() map[string][]byte {
	good := someMark().encode()
	back := someMark()
	back.condition = wentBack
	version := append([]byte{markVersion + 1}, good[1:]...)
	return map[string][]byte{
		"empty": {}, "good-sound": good, "good-went-back": back.encode(), "cut": good[:40], "one-more": append(good[:len(good):len(good)], 0), "version": version,
	}
}

// FuzzParseMark: whatever is taken is written again byte for byte.
func FuzzParseMark(f *testing.F) {
	for _, b := range corpus() {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMark(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMark)
			return
		}
		require.Equal(t, b, m.encode())
	})
}

// TestFileFails: what the disk refuses is the error, and the old mark stays.
func TestFileFails(t *testing.T) {
	broken, name := errors.New("broken"), filepath.Join(t.TempDir(), "mark")
	for _, op := range []durable.Op{durable.Create, durable.Write, durable.Sync, durable.Rename, durable.SyncFolder} {
		failing := false
		f, err := openFile(durable.Observed(func(s durable.Step) error {
			if failing && s.Op == op {
				return broken
			}
			return nil
		}), name)
		require.NoError(t, err)
		require.NoError(t, f.Save(t.Context(), []byte("old")))
		failing = true
		require.ErrorIs(t, f.Save(t.Context(), []byte("new")), broken, op)
		failing = false
		if op != durable.SyncFolder {
			mark, err := f.Load(t.Context())
			require.NoError(t, err)
			require.Equal(t, "old", string(mark))
		}
		require.NoError(t, f.Close())
	}
	// A leftover that cannot be removed, and a lock that cannot be given back.
	require.NoError(t, os.WriteFile(name+".new", nil, 0o600))
	_, err := openFile(durable.Observed(func(durable.Step) error { return broken }), name)
	require.ErrorIs(t, err, broken)
	f, err := OpenFile(name)
	require.NoError(t, err, "the lock was given back")
	unlock := f.unlock
	f.unlock = func() error { return errors.Join(unlock(), broken) }
	require.ErrorIs(t, f.Close(), broken)
	// Neither a lock nor a mark where there is no folder, nor a mark that is a folder.
	_, err = OpenFile(filepath.Join(t.TempDir(), "none", "mark"))
	require.ErrorIs(t, err, os.ErrNotExist)
	f, err = OpenFile(t.TempDir())
	require.NoError(t, err)
	_, err = f.Load(t.Context())
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrNoMark)
	require.NoError(t, f.Close())
}

package powertest_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/internal/powertest"
)

const childFolder = "TANDEM_POWERTEST_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		steps, err := strconv.Atoi(os.Getenv("TANDEM_POWERTEST_STEPS"))
		if err == nil {
			err = appendTo(folder, steps)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// size is that of a record, which takes parts of several sectors.
const size = 1300

// record is the n-th of the program's journal: a number, bytes, a checksum.
func record(n int) []byte {
	b := slices.Repeat([]byte{byte(n)}, size-4)
	binary.BigEndian.PutUint64(b, uint64(n))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// read returns how many records a journal has before its end, or the first that is not
// whole; -1 if there is no journal.
func read(folder string) (int64, error) {
	data, err := os.ReadFile(filepath.Join(folder, "journal"))
	if errors.Is(err, os.ErrNotExist) {
		return -1, nil
	}
	n := int64(0)
	for ; len(data) >= size; data = data[size:] {
		if string(data[:size]) != string(record(int(n))) {
			break
		}
		n++
	}
	return n, err
}

// appendTo is the program: a journal that is synced after each record. The second file is
// there while a record is written.
func appendTo(folder string, steps int) error {
	f, err := os.OpenFile(filepath.Join(folder, "journal"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	n, err := read(folder)
	if err == nil {
		err = errors.Join(f.Sync(), dir.Sync())
	}
	if err != nil {
		return err
	}
	fmt.Println("step", n)
	for range steps {
		guard, err := os.OpenFile(filepath.Join(folder, "guard"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(record(int(n)), n*size)
		n++
		if n%3 == 0 && err == nil {
			fmt.Println("loose", n)
		}
		if err = errors.Join(err, guard.Close(), os.Remove(guard.Name())); err == nil && n%3 != 0 {
			err = f.Sync()
			fmt.Println("step", n)
		}
		if err != nil {
			return err
		}
	}
	return f.Truncate(n * size)
}

func recorded(t *testing.T, folder string, log powertest.Log, steps int) powertest.Log {
	t.Helper()
	return powertest.Record(t, folder, log, childFolder+"="+folder, "TANDEM_POWERTEST_STEPS="+strconv.Itoa(steps))
}

func cut(t *testing.T, log powertest.Log, c powertest.Cuts) (powertest.Shown, error) {
	folder := powertest.Folder(t)
	return log.Cut(folder, c, func() (int64, error) { return read(folder) })
}

// TestPowerCut: a program that syncs as it must passes, also as several processes one
// after the other; each way not to is found.
func TestPowerCut(t *testing.T) {
	folder := t.TempDir()
	log := recorded(t, folder, nil, 7)
	log = recorded(t, folder, log, 4)
	shown, err := cut(t, log, powertest.Cuts{})
	require.NoError(t, err)
	require.Greater(t, shown.Operations, 11*4)
	require.Greater(t, shown.States, 11*4)

	drop := func(kinds ...powertest.Kind) powertest.Log {
		return log.Without(func(_ int, o powertest.Op) bool { return slices.Contains(kinds, o.Kind) })
	}
	_, err = cut(t, drop(powertest.Sync), powertest.Cuts{})
	require.ErrorIs(t, err, powertest.ErrOlder)
	_, err = cut(t, drop(powertest.SyncFolder), powertest.Cuts{})
	require.ErrorIs(t, err, powertest.ErrOlder)
	early, steps := log.Early()
	require.GreaterOrEqual(t, steps, 7)
	_, err = cut(t, early, powertest.Cuts{})
	require.ErrorIs(t, err, powertest.ErrOlder)
	_, err = cut(t, drop(powertest.Step, powertest.Loose), powertest.Cuts{})
	require.ErrorIs(t, err, powertest.ErrNewer)

	// What is done during a sync need not be on the disk.
	for _, kind := range []powertest.Kind{powertest.Sync, powertest.SyncFolder} {
		during := slices.Clone(log)
		for i, o := range during {
			if o.Kind == kind {
				during[i].Began = max(0, i-4)
			}
		}
		_, err = cut(t, during, powertest.Cuts{})
		require.ErrorIs(t, err, powertest.ErrOlder)
	}

	acknowledged := len(log) - len(slices.DeleteFunc(slices.Clone(log), func(o powertest.Op) bool { return o.Kind == powertest.Step }))
	shown, err = cut(t, log, powertest.Cuts{Every: math.MaxInt})
	require.NoError(t, err)
	require.Equal(t, acknowledged, shown.Operations)
	shown, err = cut(t, log, powertest.Cuts{From: log.Last(powertest.Step)})
	require.NoError(t, err)
	require.Equal(t, len(log)-log.Last(powertest.Step), shown.Operations)
	shown, err = cut(t, log, powertest.Cuts{Most: 3})
	require.NoError(t, err)
	require.LessOrEqual(t, shown.States, 3*shown.Operations)

	mine := errors.New("mine")
	_, err = log.Cut(powertest.Folder(t), powertest.Cuts{}, func() (int64, error) { return 0, mine })
	require.ErrorIs(t, err, mine)
}

// TestStates: what a disk may have of operations that are not synced.
func TestStates(t *testing.T) {
	var log powertest.Log
	add := func(o powertest.Op) {
		o.Began = len(log)
		log = append(log, o)
	}
	write := func(at int64, data []byte) { add(powertest.Op{Kind: powertest.Write, Name: "a", At: at, Data: data}) }
	add(powertest.Op{Kind: powertest.Create, Name: "a"})
	add(powertest.Op{Kind: powertest.SyncFolder})
	write(0, slices.Repeat([]byte("x"), 1000))
	add(powertest.Op{Kind: powertest.Sync, Name: "a"})
	add(powertest.Op{Kind: powertest.Step, At: 1})
	write(500, slices.Repeat([]byte("y"), 100))
	add(powertest.Op{Kind: powertest.Truncate, Name: "a", At: 800})
	add(powertest.Op{Kind: powertest.Remove, Name: "a"})
	add(powertest.Op{Kind: powertest.Create, Name: "a", File: 1})

	seen := map[string]bool{}
	folder := powertest.Folder(t)
	for range 20 { // some are drawn
		_, err := log.Cut(folder, powertest.Cuts{From: log.First(powertest.Step)}, func() (int64, error) {
			data, err := os.ReadFile(filepath.Join(folder, "a"))
			var s string
			for i, b := range data {
				if i == 0 || b != data[i-1] {
					s += fmt.Sprintf("%c%d ", b, i)
				}
			}
			s += fmt.Sprint(len(data))
			if err != nil {
				s = "none"
			}
			seen[s] = true
			return 1, nil
		})
		require.NoError(t, err)
	}
	var got []string
	for s := range seen {
		got = append(got, s)
	}
	// The end of the first sector is at 512.
	require.ElementsMatch(t, []string{
		"x0 1000", "x0 y500 x600 1000", "x0 y500 x512 1000", "x0 y512 x600 1000",
		"x0 800", "x0 y500 x600 800", "x0 y512 x600 800", "x0 y500 x512 800",
		"none", "0",
	}, got)
}

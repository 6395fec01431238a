package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/tandem-rsa/tandem/internal/durable"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
)

// TestMain lets the tests run this binary again as a process that they kill, or that
// holds a lock.
func TestMain(m *testing.M) {
	role, child := roles[os.Getenv(childRole)]
	if !child {
		os.Exit(m.Run())
	}
	role(os.Getenv(childPath))
}

var roles = map[string]func(path string){"guess": guessForever, "hold": holdOpen}

// thorough returns how often a test repeats something: often, or short with -short.
func thorough(often, short int) int {
	if testing.Short() {
		return short
	}
	return often
}

// waiting is a context that calls then whenever a call is about to wait for it. A write
// waits twice: until it is handed over, and for its result.
type waiting struct {
	context.Context
	n    int
	then func(n int)
}

func (w *waiting) Done() <-chan struct{} {
	w.n++
	w.then(w.n)
	return w.Context.Done()
}

// arriving returns a context for a write, which tells came when the write waits.
func arriving(came *sync.WaitGroup) context.Context {
	came.Add(1)
	return &waiting{Context: context.Background(), then: func(n int) {
		if n == 1 {
			came.Done()
		}
	}}
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func openNew(t testing.TB) *Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "store"))
}

// database is a store for storetest. The file is locked: one process at a time has it,
// and its goroutines share one handle (TestInUse).
func database(t *testing.T) storetest.Database {
	path := filepath.Join(t.TempDir(), "store")
	var s *Store
	return storetest.Database{
		Open:   func() limiter.Store { s = open(t, path); return s },
		Close:  func(limiter.Store) { require.NoError(t, s.Close()) },
		Single: true,
		Remove: func(id string) {
			meddle(t, s, func(records *bbolt.Bucket) error { return records.Delete(recordKey(id)) })
		},
	}
}

func TestContract(t *testing.T) { storetest.Run(t, database) }

func TestContractReopened(t *testing.T) { storetest.RunReopen(t, database) }

// TestSyncs guards the settings that durability hangs on.
func TestSyncs(t *testing.T) {
	s := openNew(t)
	require.False(t, s.db.NoSync)
	require.False(t, s.db.NoGrowSync)
	require.False(t, s.db.NoFreelistSync)
}

// TestOpenSyncs: a store is not opened, new or old, until the file and its name are on
// disk.
func TestOpenSyncs(t *testing.T) {
	planted := errors.New("planted")
	path := filepath.Join(t.TempDir(), "store")
	for range 2 {
		var steps []string
		var fail string
		step := func(name string) error {
			steps = append(steps, name)
			if name == fail {
				return planted
			}
			return nil
		}
		o := Options{
			disk: durable.Observed(func(s durable.Step) error { return step(string(s.Op) + " " + s.Name) }),
			sync: func(db *bbolt.DB) error { return errors.Join(step("sync "+db.Path()), db.Sync()) },
		}
		want := []string{"sync " + path, "sync folder " + filepath.Dir(path)}
		for _, fail = range want {
			_, err := Open(path, o)
			require.ErrorIs(t, err, planted)
		}
		fail, steps = "", nil
		s, err := Open(path, o)
		require.NoError(t, err)
		require.Equal(t, want, steps)
		require.NoError(t, s.Close())
	}
}

// TestResultsOfABatch: writes that share a transaction each have their own result.
func TestResultsOfABatch(t *testing.T) {
	s := openNew(t)
	require.NoError(t, s.Create(t.Context(), "old", []byte("0")))
	_, version, err := s.Load(t.Context(), "old")
	require.NoError(t, err)
	tx, err := s.db.Begin(true) // holds up the commit loop
	require.NoError(t, err)
	const each = 20
	var came, wg sync.WaitGroup
	var mu sync.Mutex
	results := make(map[string][]error)
	for i := range each {
		for name, write := range map[string]func(ctx context.Context) error{
			"new":          func(ctx context.Context) error { return s.Create(ctx, fmt.Sprint("new ", i), []byte{byte(i)}) },
			"same":         func(ctx context.Context) error { return s.Create(ctx, "same", []byte{byte(i)}) },
			"exists":       func(ctx context.Context) error { return s.Create(ctx, "old", nil) },
			"swap":         func(ctx context.Context) error { return s.Swap(ctx, "old", version, []byte{byte(i)}) },
			"swap stale":   func(ctx context.Context) error { return s.Swap(ctx, "old", version+1000, nil) },
			"swap unknown": func(ctx context.Context) error { return s.Swap(ctx, "unknown", version, nil) },
			"ping":         s.Ping,
		} {
			ctx := arriving(&came)
			wg.Go(func() {
				err := write(ctx)
				mu.Lock()
				defer mu.Unlock()
				results[name] = append(results[name], err)
			})
		}
	}
	came.Wait()
	mu.Lock()
	require.Empty(t, results, "answered before the commit")
	mu.Unlock()
	require.NoError(t, tx.Rollback())
	wg.Wait()
	for name, succeed := range map[string]int{
		"new": each, "same": 1, "exists": 0, "swap": 1, "swap stale": 0, "swap unknown": 0, "ping": each,
	} {
		good := 0
		for _, err := range results[name] {
			if err == nil {
				good++
			} else {
				require.ErrorIs(t, err, limiter.ErrConflict, name)
			}
		}
		require.Equal(t, succeed, good, name)
	}
	for i := range each {
		value, _, err := s.Load(t.Context(), fmt.Sprint("new ", i))
		require.NoError(t, err)
		require.Equal(t, []byte{byte(i)}, value)
	}
	require.NoError(t, s.Check(t.Context()))
}

// TestPing writes, and syncs what it writes.
func TestPing(t *testing.T) {
	s := openNew(t)
	before := txID(t, s)
	require.NoError(t, s.Ping(t.Context()))
	require.Equal(t, before+1, txID(t, s))
	tx, err := s.db.Begin(true) // as a disk that hangs
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Ping(ctx), context.DeadlineExceeded)
	require.NoError(t, tx.Rollback())
	s.settle(0, errors.New("disk on fire"))
	require.ErrorContains(t, s.Ping(t.Context()), "disk on fire")
	require.ErrorContains(t, s.Check(t.Context()), "disk on fire")
	require.ErrorContains(t, s.Backup(t.Context(), io.Discard), "disk on fire")
	_, err = s.List(t.Context(), "", "", 1)
	require.ErrorContains(t, err, "disk on fire")
}

// TestOneSyncForMany: writes that come together share transactions, and so syncs.
func TestOneSyncForMany(t *testing.T) {
	const writes = 400
	s := openNew(t)
	before := txID(t, s)
	tx, err := s.db.Begin(true) // holds up the commit loop until they have come
	require.NoError(t, err)
	var came, wg sync.WaitGroup
	for i := range writes {
		ctx := arriving(&came)
		wg.Go(func() {
			if err := s.Create(ctx, fmt.Sprint(i), []byte("value")); err != nil {
				t.Error(err)
			}
		})
	}
	came.Wait()
	require.NoError(t, tx.Rollback())
	wg.Wait()
	require.Less(t, txID(t, s)-before, writes/10)
	for i := range writes {
		_, _, err := s.Load(t.Context(), fmt.Sprint(i))
		require.NoError(t, err)
	}
	before = txID(t, s)
	require.ErrorIs(t, s.Create(t.Context(), "1", nil), limiter.ErrConflict)
	require.Equal(t, before, txID(t, s), "a conflict was synced")
}

func txID(t *testing.T, s *Store) (id int) {
	t.Helper()
	require.NoError(t, s.db.View(func(tx *bbolt.Tx) error {
		id = tx.ID()
		return nil
	}))
	return id
}

// TestOneWriteASignature: a signature, from the challenge to the answer, is one durable
// write.
func TestOneWriteASignature(t *testing.T) {
	s := openNew(t)
	sign := benchtest.Signer(t, s)
	before := txID(t, s)
	sign()
	require.Equal(t, before+1, txID(t, s))
}

func TestFileMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("no file modes here")
		return
	}
	path := filepath.Join(t.TempDir(), "store")
	open(t, path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	bboltFile := func(name string, fill func(tx *bbolt.Tx) error) string {
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.Update(fill))
		require.NoError(t, db.Close())
		return path
	}
	withFormat := func(name string, v ...byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, open(t, path).Close())
		return bboltFile(name, func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(formatKey, v) })
	}
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, make([]byte, 1<<16), 0o600))
	for _, path := range []string{
		text,
		bboltFile("other", func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("accounts")); return err }),
		bboltFile("meta only", func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(metaBucket); return err }),
		bboltFile("records only", func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(recordsBucket); return err }),
		withFormat("newer", format+1),
		withFormat("older", format-1),
		withFormat("longer", format, 0),
		withFormat("empty"),
	} {
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		for range 2 { // the refused file must be unlocked again
			_, err = Open(path, Options{})
			require.ErrorIs(t, err, ErrFormat, path)
			require.NotErrorIs(t, err, ErrInUse)
		}
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, before, after, "%s was changed", path)
	}
	_, err := Open(filepath.Join(dir, "no", "such", "directory"), Options{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(dir, Options{})
	require.Error(t, err)
}

func TestEmptyFile(t *testing.T) {
	// A process was killed between creating the file and writing to it.
	path := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, open(t, path).Create(t.Context(), "id", nil))

	// A process was killed between writing bbolt's first pages and the store's.
	path = filepath.Join(t.TempDir(), "store")
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, CheckFile(t.Context(), path))
	require.ErrorIs(t, BackupFile(t.Context(), path, io.Discard), errEmpty)
	require.NoError(t, open(t, path).Create(t.Context(), "id", nil))
}

// TestOpenedByTurns: what another process writes between the check and the lock is
// checked too, and a file that others always have in between is in use.
func TestOpenedByTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	for turns, want := range map[int]error{1: nil, 2: nil, 3: ErrInUse} {
		require.NoError(t, openAgain(path).Close())
		left := turns
		s, err := Open(path, Options{between: func() {
			if left--; left >= 0 {
				other := openAgain(path)
				require.NoError(t, other.Ping(context.Background()))
				require.NoError(t, other.Close())
			}
		}})
		require.ErrorIs(t, err, want)
		if want == nil {
			require.NoError(t, s.Check(t.Context()))
			require.NoError(t, s.Close())
		}
	}
}

func openAgain(path string) *Store {
	s, err := Open(path, Options{})
	if err != nil {
		panic(err)
	}
	return s
}

// TestGuard: bbolt's panics are damage.
func TestGuard(t *testing.T) {
	err := guard(func() error { panic("page 7") })
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, "page 7")
	require.True(t, isPanic(err))
	require.NoError(t, guard(func() error { return nil }))
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	child := startChild(t, "hold", path)
	child.read(t, 1) // it has the store open
	_, err := Open(path, Options{LockTimeout: 200 * time.Millisecond})
	require.ErrorIs(t, err, ErrInUse)
	opened := make(chan error)
	go func() {
		s, err := Open(path, Options{LockTimeout: time.Minute})
		opened <- errors.Join(err, s.Close())
	}()
	time.Sleep(1200 * time.Millisecond) // longer than without a LockTimeout
	child.kill(t)
	require.NoError(t, <-opened)
}

func holdOpen(path string) {
	if _, err := Open(path, Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("open")
	for {
		// Not select {}: without cgo the runtime would call that a deadlock.
		time.Sleep(time.Hour)
	}
}

func TestClosed(t *testing.T) {
	s := openNew(t)
	require.NoError(t, s.Create(t.Context(), "id", []byte("value")))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Close(), ErrClosed)
	_, _, err := s.Load(t.Context(), "id")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Create(t.Context(), "other", nil), ErrClosed)
	require.ErrorIs(t, s.Swap(t.Context(), "id", 1, nil), ErrClosed)
	require.ErrorIs(t, s.Ping(t.Context()), ErrClosed)
	require.ErrorIs(t, s.Check(t.Context()), ErrClosed)
	require.ErrorIs(t, s.Backup(t.Context(), io.Discard), ErrClosed)
	_, err = s.List(t.Context(), "", "", 1)
	require.ErrorIs(t, err, ErrClosed)
}

// TestCloseWhileBusy: a write is confirmed, and is there after reopening, or it is
// refused.
func TestCloseWhileBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path)
	var confirmed sync.Map
	var wg, first sync.WaitGroup
	first.Add(16)
	for i := range 16 {
		wg.Go(func() {
			confirm := sync.OnceFunc(first.Done)
			defer confirm()
			for n := 0; ; n++ {
				id := fmt.Sprint(i, " ", n)
				switch err := s.Create(context.Background(), id, nil); {
				case err == nil:
					confirmed.Store(id, true)
					confirm()
				case errors.Is(err, ErrClosed):
					return
				default:
					t.Error(err)
					return
				}
				if _, _, err := s.Load(context.Background(), id); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
					return
				}
			}
		})
	}
	first.Wait()
	require.NoError(t, s.Close())
	wg.Wait()
	s = open(t, path)
	n := 0
	confirmed.Range(func(id, _ any) bool {
		n++
		_, _, err := s.Load(t.Context(), id.(string))
		require.NoError(t, err)
		return true
	})
	require.GreaterOrEqual(t, n, 16)
}

// TestBrokenStaysBroken: after a failed commit nothing is answered until the store is
// opened anew.
func TestBrokenStaysBroken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path)
	require.NoError(t, s.Create(t.Context(), "id", []byte("value")))
	require.NoError(t, s.db.Close()) // as good as any way to make the next commit fail
	err := s.Create(t.Context(), "other", nil)
	require.Error(t, err)
	require.NotErrorIs(t, err, limiter.ErrConflict)
	for range 3 {
		_, _, err := s.Load(t.Context(), "id")
		require.ErrorContains(t, err, "opened anew")
		require.ErrorContains(t, s.Swap(t.Context(), "id", 1, nil), "opened anew")
	}
	require.NoError(t, s.Close())
	value, _, err := open(t, path).Load(t.Context(), "id")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
}

// TestConflictInAFailedBatch: if a transaction fails, a conflict that was decided in it
// is as unknown as the rest.
func TestConflictInAFailedBatch(t *testing.T) {
	s := openNew(t)
	require.NoError(t, s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(metaBucket).Put(versionKey, record{version: lastVersion - 1}.encode(versionKey))
	}))
	s.settle(txID(t, s), nil)
	var batch []*write
	for _, id := range []string{"one", "one", "no version is left"} {
		batch = append(batch, &write{key: recordKey(id), create: true, result: make(chan error, 1)})
	}
	s.commit(batch)
	require.ErrorIs(t, batch[1].err, limiter.ErrConflict)
	for _, w := range batch {
		err := <-w.result
		require.ErrorContains(t, err, "no versions are left")
		require.NotErrorIs(t, err, limiter.ErrConflict)
		require.NotErrorIs(t, err, ErrDamaged)
	}
	_, _, err := s.Load(t.Context(), "one")
	require.ErrorContains(t, err, "opened anew")
}

// meddle changes records behind the store's back.
func meddle(t *testing.T, s *Store, f func(records *bbolt.Bucket) error) {
	t.Helper()
	require.NoError(t, s.db.Update(func(tx *bbolt.Tx) error { return f(tx.Bucket(recordsBucket)) }))
	s.settle(txID(t, s), nil)
}

// TestDamagedRecord: a damaged record stops its own key only.
func TestDamagedRecord(t *testing.T) {
	s := openNew(t)
	require.NoError(t, s.Create(t.Context(), "id", []byte("value")))
	require.NoError(t, s.Create(t.Context(), "other", nil))
	whole := record{2, []byte("value")}.encode(recordKey("id"))
	for name, stored := range map[string][]byte{
		"short":               make([]byte, recordHeader-1),
		"without checksum":    append(append(whole[:8:8], make([]byte, recordHeader-8)...), "value"...),
		"of another id":       record{2, []byte("value")}.encode(recordKey("ix")),
		"version 0":           record{0, []byte("value")}.encode(recordKey("id")),
		"version never given": record{1000, []byte("value")}.encode(recordKey("id")),
		"version too high":    record{lastVersion + 1, []byte("value")}.encode(recordKey("id")),
		"too long":            record{2, make([]byte, limiter.MaxValue+1)}.encode(recordKey("id")),
	} {
		meddle(t, s, func(records *bbolt.Bucket) error { return records.Put(recordKey("id"), stored) })
		value, _, err := s.Load(t.Context(), "id")
		require.ErrorIs(t, err, ErrDamaged, name)
		require.Nil(t, value)
		require.ErrorIs(t, s.Swap(t.Context(), "id", 2, nil), ErrDamaged, name)
		require.ErrorIs(t, s.Create(t.Context(), "id", nil), ErrDamaged, name)
		require.ErrorIs(t, s.Check(t.Context()), ErrDamaged, name)
		_, version, err := s.Load(t.Context(), "other")
		require.NoError(t, err)
		require.NoError(t, s.Swap(t.Context(), "other", version, nil))
	}
	meddle(t, s, func(records *bbolt.Bucket) error { return records.Put(recordKey("id"), whole) })
	require.NoError(t, s.Swap(t.Context(), "id", 2, nil))
	require.NoError(t, s.Check(t.Context()))
}

// TestCancelledWhileWaiting returns without waiting for the disk, and the written bytes
// are those of the call.
func TestCancelledWhileWaiting(t *testing.T) {
	s := openNew(t)
	tx, err := s.db.Begin(true) // holds up the commit loop
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	value := []byte("value")
	err = s.Create(&waiting{Context: ctx, then: func(n int) {
		if n == 2 {
			cancel()
		}
	}}, "id", value)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "result of the write unknown")
	clear(value)
	require.NoError(t, tx.Rollback())
	require.NoError(t, s.Create(t.Context(), "later", nil))
	value, _, err = s.Load(t.Context(), "id")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
}

// TestLoadAwaitsSync sets back what is known to be on disk, as if the last transaction
// were still being synced.
func TestLoadAwaitsSync(t *testing.T) {
	s := openNew(t)
	require.NoError(t, s.Create(t.Context(), "id", []byte("value")))
	setBack := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.durable--
	}
	setBack()
	for _, id := range []string{"id", "unknown"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _, err := s.Load(ctx, id)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
	}
	loaded := make(chan error)
	go func() {
		_, _, err := s.Load(context.Background(), "id")
		loaded <- err
	}()
	s.settle(txID(t, s), nil) // a sync
	require.NoError(t, <-loaded)

	setBack()
	go func() {
		_, _, err := s.Load(context.Background(), "id")
		loaded <- err
	}()
	s.settle(0, errors.New("disk on fire"))
	require.ErrorContains(t, <-loaded, "disk on fire")
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	store, err := Open(filepath.Join(dir, "keys"), Options{})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	l, err := limiter.New(store, limiter.DefaultPolicy())
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	if err := l.Create(ctx, "key 7"); err != nil {
		panic(err)
	}
	err = l.Attempt(ctx, "key 7", func(context.Context) (limiter.Outcome, error) { return limiter.Wrong, nil })
	fmt.Println(err)
	// Output: limiter: wrong PIN, 2 tries remain until the next lock, 8 in all
}

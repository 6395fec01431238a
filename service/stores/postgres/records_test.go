package postgres

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/checked"
)

func execute(t testing.TB, s *Store, sql string, args ...any) {
	t.Helper()
	_, err := s.pool.Exec(context.Background(), sql, args...)
	require.NoError(t, err, sql)
}

// TestDamagedRecord: a flipped bit anywhere in a row is an error, not another value.
func TestDamagedRecord(t *testing.T) {
	ctx := t.Context()
	s := openNew(t)
	require.NoError(t, s.Create(ctx, "id", []byte("value")))
	require.NoError(t, s.Create(ctx, "other", []byte("other value")))
	require.NoError(t, s.Check(ctx))
	damaged := func(why string, args ...any) {
		t.Helper()
		_, _, err := s.Load(ctx, "id")
		require.ErrorIs(t, err, ErrDamaged, why, args)
		require.ErrorIs(t, s.Check(ctx), ErrDamaged, why, args)
	}
	for bit := range 8 * (checked.Header + len("value")) {
		flip := "UPDATE tandem_records SET record = set_bit(record, $1, 1 - get_bit(record, $1)) WHERE id = 'id'"
		execute(t, s, flip, bit)
		damaged("bit %d of the record", bit)
		execute(t, s, flip, bit)
	}
	for bit := range 64 {
		flip := "UPDATE tandem_records SET version = version # $1 WHERE id = 'id'"
		execute(t, s, flip, int64(uint64(1)<<bit))
		damaged("bit %d of the version", bit)
		execute(t, s, flip, int64(uint64(1)<<bit))
	}
	require.NoError(t, s.Check(ctx))
	for bit := range 16 {
		flip := "UPDATE tandem_records SET id = set_bit(id, $1, 1 - get_bit(id, $1)) WHERE id = $2"
		id := []byte("id")
		execute(t, s, flip, bit, id)
		id[bit/8] ^= 1 << (bit % 8)
		_, _, err := s.Load(ctx, string(id))
		require.ErrorIs(t, err, ErrDamaged)
		_, _, err = s.Load(ctx, "id")
		require.ErrorIs(t, err, limiter.ErrNotFound)
		execute(t, s, flip, bit, id)
	}
	execute(t, s, "UPDATE tandem_records r SET record = o.record, version = o.version FROM tandem_records o WHERE r.id = 'id' AND o.id = 'other'")
	damaged("the record of another id")
	execute(t, s, "UPDATE tandem_records SET record = '' WHERE id = 'id'")
	damaged("an empty record")

	// A version of a creation that never was.
	version := uint64(1000) << swapBits
	record := checked.Record{Version: version, Value: nil}.Encode(label, []byte("id"))
	execute(t, s, "UPDATE tandem_records SET record = $1, version = $2 WHERE id = 'id'", record, int64(version))
	require.ErrorIs(t, s.Check(ctx), ErrDamaged)
}

// TestCheckReadsAll: damage on any page of a large store is found.
func TestCheckReadsAll(t *testing.T) {
	ctx := t.Context()
	s := openNew(t)
	const n = 2*checkPage + 10
	rows := make([][]any, n)
	version, err := s.firstVersion(ctx)
	require.NoError(t, err)
	for i := range rows {
		id := fmt.Appendf(nil, "%05d", i)
		rows[i] = []any{id, int64(version), checked.Record{Version: version}.Encode(label, id)}
	}
	_, err = s.pool.CopyFrom(ctx, pgx.Identifier{"tandem_records"}, []string{"id", "version", "record"}, pgx.CopyFromRows(rows))
	require.NoError(t, err)
	require.NoError(t, s.Check(ctx))
	for _, i := range []int{0, checkPage - 1, checkPage, 2*checkPage - 1, 2 * checkPage, n - 1} {
		flip := "UPDATE tandem_records SET record = set_bit(record, 5, 1 - get_bit(record, 5)) WHERE id = $1"
		execute(t, s, flip, rows[i][0])
		require.ErrorIs(t, s.Check(ctx), ErrDamaged, "record %d", i)
		execute(t, s, flip, rows[i][0])
	}
	require.NoError(t, s.Check(ctx))
}

// TestVersions: each creation has a number of its own, whoever creates, and each swap the
// next version.
func TestVersions(t *testing.T) {
	ctx := t.Context()
	server := pgtest.Shared(t)
	url := server.URL(newSchema(t, server))
	var mu sync.Mutex
	seen := make(map[uint64]bool)
	for round := range 3 {
		var wg sync.WaitGroup
		stores := []*Store{open(t, url), open(t, url)}
		for i := range 4 {
			wg.Go(func() {
				for n := range 20 {
					id := fmt.Sprintf("%d %d %d", round, i, n)
					if !assert(t, stores[i%2].Create(ctx, id, nil)) {
						return
					}
					_, v, err := stores[(i+1)%2].Load(ctx, id)
					if !assert(t, err) {
						return
					}
					mu.Lock()
					if seen[v] || v == 0 || v%(1<<swapBits) != 0 {
						t.Errorf("version %x", v)
					}
					seen[v] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		for _, s := range stores {
			require.NoError(t, s.Close())
		}
	}
	s := open(t, url)
	require.NoError(t, s.Create(ctx, "id", nil))
	_, first, err := s.Load(ctx, "id")
	require.NoError(t, err)
	require.Equal(t, uint64(3*4*20+1)<<swapBits, first)
	require.NoError(t, s.Swap(ctx, "id", first, nil))
	_, next, err := s.Load(ctx, "id")
	require.NoError(t, err)
	require.Equal(t, first+1, next)

	execute(t, s, "UPDATE tandem_meta SET creations = $1", int64(1<<(63-swapBits)-2))
	require.NoError(t, s.Create(ctx, "the last one", nil))
	require.ErrorIs(t, s.Create(ctx, "one more", nil), errNoVersions)
	_, _, err = s.Load(ctx, "one more")
	require.ErrorIs(t, err, limiter.ErrNotFound)
	require.NoError(t, s.Check(ctx))
}

// assert is for goroutines, which must not end the test.
func assert(t *testing.T, err error) bool {
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

// TestSwapIsOneStatement: a Swap in the database is one transaction, of one statement.
func TestSwapIsOneStatement(t *testing.T) {
	ctx := t.Context()
	server := pgtest.New(t, "autovacuum=off")
	s := open(t, server.URL())
	l, err := limiter.New(s, limiter.DefaultPolicy())
	require.NoError(t, err)
	require.NoError(t, l.Create(ctx, "id"))
	const attempts = 20
	right := func(context.Context) (limiter.Outcome, error) { return limiter.Right, nil }
	commits := server.Commits(t, func() {
		for range attempts {
			require.NoError(t, l.Attempt(ctx, "id", right))
		}
	})
	require.Equal(t, attempts, commits, "transactions that wrote")
	commits = server.Commits(t, func() {
		for range attempts {
			_, _, err := s.Load(ctx, "id")
			require.NoError(t, err)
			_, err = s.List(ctx, "", "", 10)
			require.NoError(t, err)
			require.ErrorIs(t, s.Swap(ctx, "id", 1, nil), limiter.ErrConflict)
		}
	})
	require.Zero(t, commits, "what writes nothing")
	commits = server.Commits(t, func() { require.NoError(t, s.Create(ctx, "another", nil)) })
	require.Equal(t, 2, commits, "a creation, and its number")
	require.Equal(t, 1, server.Commits(t, func() { require.NoError(t, s.Ping(ctx)) }), "a ping writes")
}

// TestFormat: tables of another layout are refused, and left as they are.
func TestFormat(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.URL(newSchema(t, server))
	s := open(t, url)
	require.NoError(t, s.Create(t.Context(), "id", nil))
	for _, format := range []int64{2, 1000, -1} {
		execute(t, s, "UPDATE tandem_meta SET format = $1", format)
		require.ErrorIs(t, openError(t, url, Options{}), ErrFormat)
		var now int64
		require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT format FROM tandem_meta").Scan(&now))
		require.Equal(t, format, now)
	}
	execute(t, s, "DELETE FROM tandem_meta")
	require.ErrorIs(t, openError(t, url, Options{}), ErrFormat)
	require.ErrorIs(t, s.Ping(t.Context()), ErrFormat)
	require.Error(t, s.Check(t.Context()))
}

// TestMigrates: each step is taken once, in order, by whoever comes first.
func TestMigrates(t *testing.T) {
	ctx := t.Context()
	server := pgtest.Shared(t)
	url := server.URL(newSchema(t, server))
	var wg sync.WaitGroup
	stores := make([]*Store, 6)
	errs := make([]error, len(stores))
	for i := range stores {
		wg.Go(func() { stores[i], errs[i] = Open(ctx, url, Options{MaxConns: 2}) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	for _, s := range stores {
		defer s.Close()
	}
	require.NoError(t, stores[0].Create(ctx, "id", []byte("value")))

	more := append(steps[:len(steps):len(steps)], "CREATE TABLE later (a bigint)", "ALTER TABLE later ADD COLUMN b bigint", "INSERT INTO later (a, b) VALUES (1, 2)")
	for _, upTo := range [][]string{more[:len(steps)+1], more} { // two versions of the program, one after the other
		for i, s := range stores {
			wg.Go(func() {
				c, err := s.pool.Acquire(ctx)
				if err == nil {
					err = migrate(ctx, c.Conn(), upTo)
					c.Release()
				}
				errs[i] = err
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
	}
	var rows, format int
	require.NoError(t, stores[0].pool.QueryRow(ctx, "SELECT count(*) FROM later").Scan(&rows))
	require.Equal(t, 1, rows)
	require.NoError(t, stores[0].pool.QueryRow(ctx, "SELECT format FROM tandem_meta").Scan(&format))
	require.Equal(t, len(more), format)
	value, _, err := stores[1].Load(ctx, "id")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
	require.ErrorIs(t, openError(t, url, Options{}), ErrFormat, "the older version of the program")

	// A step that fails leaves nothing of those before it.
	c, err := stores[0].pool.Acquire(ctx)
	require.NoError(t, err)
	defer c.Release()
	require.Error(t, migrate(ctx, c.Conn(), append(more, "CREATE TABLE half (a bigint)", "no SQL")))
	require.NoError(t, migrate(ctx, c.Conn(), more))
	require.NoError(t, c.QueryRow(ctx, "SELECT count(*) FROM pg_class WHERE relname = 'half'").Scan(&rows))
	require.Zero(t, rows)
}

// TestBehind: the end of the range of ids that begin with a prefix.
func TestBehind(t *testing.T) {
	for prefix, want := range map[string][]byte{
		"": nil, "a": []byte("b"), "ab": []byte("ac"), "a\xff": []byte("b"), "\xff\xff": nil, "a\x00": []byte("a\x01"),
	} {
		require.Equal(t, want, behind(prefix), "%q", prefix)
	}
}

func TestClosed(t *testing.T) {
	ctx := t.Context()
	s := openNew(t)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Close(), ErrClosed)
	_, _, err := s.Load(ctx, "id")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Create(ctx, "id", nil), ErrClosed)
	require.ErrorIs(t, s.Swap(ctx, "id", 1, nil), ErrClosed)
	_, err = s.List(ctx, "", "", 1)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Ping(ctx), ErrClosed)
	require.ErrorIs(t, s.Check(ctx), ErrClosed)
}

// TestNothing: every method of a nil store, of the zero value, and of a store that gets
// no context or no id returns an error, and none panics.
func TestNothing(t *testing.T) {
	typ := reflect.TypeFor[*Store]()
	calls := 0
	for i := range typ.NumMethod() {
		m := typ.Method(i)
		for name, s := range map[string]*Store{"nil": nil, "zero": new(Store), "open": openNew(t)} {
			if m.Type.NumIn() == 1 && name == "open" {
				continue // nothing is what it takes
			}
			args := []reflect.Value{reflect.ValueOf(s)}
			for j := 1; j < m.Type.NumIn(); j++ {
				args = append(args, reflect.Zero(m.Type.In(j)))
			}
			var out []reflect.Value
			require.NotPanics(t, func() { out = m.Func.Call(args) }, "%s Store.%s", name, m.Name)
			require.False(t, out[len(out)-1].IsNil(), "%s Store.%s returns no error", name, m.Name)
			calls++
		}
	}
	require.Greater(t, calls, 10)
	var nothing context.Context
	_, err := Open(nothing, "postgres://localhost/", Options{})
	require.Error(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Open(ctx, pgtest.Shared(t).URL(), Options{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = Open(t.Context(), "no url at all", Options{})
	require.Error(t, err)
}

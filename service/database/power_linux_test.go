package database_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/powertest"
)

const (
	childScript = "TANDEM_DATABASE_TEST_SCRIPT"
	childFolder = "TANDEM_DATABASE_TEST_FOLDER"

	fileName = "service.db"
	walName  = fileName + "-wal"
)

func init() {
	children[childScript] = func(script string) {
		w := &writer{address: "sqlite:" + filepath.Join(os.Getenv(childFolder), fileName)}
		if err := w.follow(context.Background(), script); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// writer is the child. It follows a script of words, each with a number of steps, or
// without one:
//
//	open      open the database, go on where it is, and say what was read
//	small     checkpoint every 8 pages, cut off a log above 30,000 bytes, and keep 16
//	          pages in memory
//	step:N    transactions, which are confirmed; each fourth is a loose one
//	held:N    the same, while another transaction reads
//	group:N   the same, of which several are committed together with some that fail
//	weak:N    steps that are confirmed though they are loose: a fault
//	close     close the database
//
// In the end the process ends as if it was killed.
type writer struct {
	address string
	db      *database.DB
	n       int
}

func (w *writer) follow(ctx context.Context, script string) error {
	for _, word := range strings.Fields(script) {
		word, number, _ := strings.Cut(word, ":")
		steps, _ := strconv.Atoi(number)
		var err error
		switch word {
		case "open":
			err = w.open(ctx)
		case "small":
			err = w.db.Tx(ctx, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "PRAGMA wal_autocheckpoint = 8; PRAGMA journal_size_limit = 30000; PRAGMA cache_size = 16")
				return err
			})
		case "step":
			err = w.steps(ctx, steps, false)
		case "held":
			err = w.db.Read(ctx, func(tx *sql.Tx) error {
				if _, err := held(ctx, tx); err != nil {
					return err
				}
				return w.steps(ctx, steps, false)
			})
		case "group":
			for range steps {
				if err == nil {
					err = w.group(ctx)
				}
			}
		case "weak":
			err = w.steps(ctx, steps, true)
		case "close":
			err = w.db.Close()
		default:
			err = fmt.Errorf("no such word: %s", word)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	return nil
}

func (w *writer) open(ctx context.Context) (err error) {
	w.db, err = database.Open(ctx, w.address, database.Options{MaxConns: 2})
	if err != nil {
		return err
	}
	err = w.db.Read(ctx, func(tx *sql.Tx) error {
		w.n, err = held(ctx, tx)
		return err
	})
	if err == nil && w.n < 0 {
		err = w.db.Tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `
				CREATE TABLE totals (n BIGINT NOT NULL);
				CREATE TABLE entries (n BIGINT PRIMARY KEY, data BYTEA NOT NULL);
				INSERT INTO totals (n) VALUES (0)`)
			return err
		})
		w.n = 0
	}
	if err == nil {
		fmt.Println("step", w.n) // what it read is what it may tell others
	}
	return err
}

// kept is how many entries there are at most.
const kept = 6

// entry is what the n-th entry has: a few bytes, or several pages.
func entry(n int) []byte {
	sizes := []int{10, 700, 9000, 90, 3000}
	return bytes.Repeat([]byte(fmt.Sprintf("%07d ", n)), 1+sizes[n%len(sizes)]/8)
}

var errUndone = errors.New("undone")

// steps writes an entry, removes an old one and counts, in one transaction each; of
// seven steps one comes after a transaction that was rolled back, with more pages than
// are kept in memory.
func (w *writer) steps(ctx context.Context, steps int, weak bool) error {
	for range steps {
		n := w.n + 1
		if n%7 == 0 {
			err := w.db.Tx(ctx, func(tx *sql.Tx) error {
				for i := range 20 {
					if _, err := tx.ExecContext(ctx, "INSERT INTO entries (n, data) VALUES ($1, $2)", 1_000_000+i, make([]byte, 4000)); err != nil {
						return err
					}
				}
				return errUndone
			})
			if !errors.Is(err, errUndone) {
				return err
			}
		}
		run, said := w.db.Tx, "step"
		switch {
		case weak:
			run = w.db.TxLoose
		case n%4 == 0:
			run, said = w.db.TxLoose, "loose"
		case n%2 == 0:
			run = w.db.TxReadCommitted
		}
		err := run(ctx, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO entries (n, data) VALUES ($1, $2)", n, entry(n)); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM entries WHERE n <= $1", n-kept); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, "UPDATE totals SET n = $1", n)
			return err
		})
		if err != nil {
			return err
		}
		w.n = n
		fmt.Println(said, n)
	}
	return nil
}

// group takes three steps in transactions that are committed together, with two that are
// undone: the first of every other group is loose. What each is told, it says.
func (w *writer) group(ctx context.Context) error {
	var mu sync.Mutex
	step := func(before func(), run func(context.Context, func(*sql.Tx) error) error, said string) error {
		n := 0
		err := run(ctx, func(tx *sql.Tx) error {
			before()
			if err := tx.QueryRowContext(ctx, "SELECT n + 1 FROM totals").Scan(&n); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "INSERT INTO entries (n, data) VALUES ($1, $2)", n, entry(n)); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "DELETE FROM entries WHERE n <= $1", n-kept); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, "UPDATE totals SET n = $1", n); err != nil {
				return err
			}
			if said == "" {
				return errUndone
			}
			fmt.Println("loose", n-1) // from now on those before it may be there
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		switch {
		case said == "" && errors.Is(err, errUndone):
			return nil
		case err == nil && n > w.n:
			w.n = n
			fmt.Println(said, n)
		}
		return err
	}
	nothing := func() {}
	others := []func() error{
		func() error { return step(nothing, w.db.Tx, "") },
		func() error { return step(nothing, w.db.TxReadCommitted, "step") },
		func() error { return step(nothing, w.db.TxLoose, "") },
		func() error { return step(nothing, w.db.Tx, "step") },
	}
	first, said := w.db.Tx, "step"
	if w.n/3%2 == 0 {
		first, said = w.db.TxLoose, "loose"
	}
	held, errs := make(chan struct{}), make([]error, len(others))
	var once sync.Once
	var all sync.WaitGroup
	all.Go(func() {
		<-held
		for i, other := range others {
			all.Go(func() { errs[i] = other() })
		}
	})
	err := step(func() {
		once.Do(func() {
			close(held)
			for w.db.InLine() < len(others) {
				time.Sleep(time.Millisecond)
			}
		})
	}, first, said)
	all.Wait()
	return errors.Join(append(errs, err)...)
}

// held returns how many steps a database has, or -1 before the first transaction. It is
// an error if it has a part of one.
func held(ctx context.Context, tx *sql.Tx) (n int, err error) {
	var tables int
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master WHERE name IN ('totals', 'entries')").Scan(&tables)
	if err != nil || tables == 0 {
		return -1, err
	}
	if err := tx.QueryRowContext(ctx, "SELECT n FROM totals").Scan(&n); err != nil {
		return 0, err
	}
	rows, err := tx.QueryContext(ctx, "SELECT n, data FROM entries ORDER BY n")
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	next := max(1, n-kept+1)
	for ; rows.Next(); next++ {
		var is int
		var data []byte
		if err := rows.Scan(&is, &data); err != nil {
			return 0, err
		}
		if is != next || !bytes.Equal(data, entry(is)) {
			return 0, fmt.Errorf("after %d steps entry %d is not what it was", n, is)
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	if next != n+1 {
		return 0, fmt.Errorf("after %d steps the last entry is %d", n, next-1)
	}
	return n, nil
}

// look opens the database as a restarted service does, and returns how many steps it has.
func look(ctx context.Context, file string) (n int, err error) {
	db, err := database.Open(ctx, "sqlite:"+file, database.Options{MaxConns: 1})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.Read(ctx, func(tx *sql.Tx) error {
		var sound string
		if err := tx.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&sound); err != nil {
			return err
		}
		if sound != "ok" {
			return fmt.Errorf("integrity_check: %s", sound)
		}
		n, err = held(ctx, tx)
		return err
	})
	return n, err
}

func recorded(t *testing.T, folder string, log powertest.Log, script string) powertest.Log {
	t.Helper()
	return powertest.Record(t, folder, log, childScript+"="+script, childFolder+"="+folder)
}

func cutPower(t *testing.T, log powertest.Log, c powertest.Cuts) (powertest.Shown, error) {
	folder := powertest.Folder(t)
	return log.Cut(folder, c, func() (int64, error) {
		n, err := look(t.Context(), filepath.Join(folder, fileName))
		return int64(n), err
	})
}

// TestPowerCut: wherever the power is cut, whatever the disk has of what was not synced,
// the database opens and is sound, no confirmed transaction is missing, and none is half
// there: while the tables are made, while the log is copied into the file, begun anew and
// cut off, while it is removed when the database is closed, and while another process
// goes on after one that was killed.
func TestPowerCut(t *testing.T) {
	folder := t.TempDir()
	log := recorded(t, folder, nil, fmt.Sprintf("open small step:%d held:4 group:3 step:4 close open small step:5", durabletest.Times(60, 9, 5)))
	log = recorded(t, folder, log, "open small step:5")
	count := func(kind powertest.Kind, name string) (n int) {
		for _, o := range log {
			if o.Kind == kind && o.Name == name {
				n++
			}
		}
		return n
	}
	require.GreaterOrEqual(t, count(powertest.Remove, walName), 1, "a log that is removed")
	require.GreaterOrEqual(t, count(powertest.Truncate, walName), 1, "a log that is cut off")
	require.GreaterOrEqual(t, count(powertest.Sync, fileName), 3, "checkpoints")
	c := powertest.Cuts{Most: 3, Every: durabletest.Times(1, 3, 8)}
	if durabletest.Long() {
		c.Most = 40
	}
	shown, err := cutPower(t, log, c)
	require.NoError(t, err)
	durabletest.Claim(t, "power cut: SQLite, %d moments, %d states of the disk: each opens and is sound, no confirmed transaction is missing, none is half there", shown.Operations, shown.States)
}

// TestPowerCutAfterKill: what a process reads when it begins, it has synced, and a power
// cut does not take it back: what another had committed and not synced when it was
// killed, and a log whose name that could not sync, as SQLite tells nobody.
func TestPowerCutAfterKill(t *testing.T) {
	log := recorded(t, t.TempDir(), nil, "open close open step:5")
	sync, renewed := log.Last(powertest.Sync), log.Last(powertest.Remove)
	require.Equal(t, walName, log[renewed].Name)
	nameless := slices.Clone(log)
	for i, o := range log[renewed:] {
		switch o.Kind {
		case powertest.SyncFolder:
			nameless[renewed+i].Kind = powertest.Nothing
		case powertest.Step:
			nameless[renewed+i].Kind = powertest.Loose // no word of this process holds
		}
	}
	for kind, killed := range map[powertest.Kind]powertest.Log{powertest.Sync: log[:sync:sync], powertest.SyncFolder: nameless} {
		t.Run(kind.String(), func(t *testing.T) {
			folder := t.TempDir()
			require.NoError(t, killed.Place(folder))
			next := recorded(t, folder, killed, "open step:2")
			begin := len(killed)
			require.Equal(t, int64(5), next[begin+next[begin:].First(powertest.Step)].At, "it reads what was not synced")
			c := powertest.Cuts{Most: 3, From: begin}
			_, err := cutPower(t, next, c)
			require.NoError(t, err)

			// Without the sync with which it begins.
			first := begin + next[begin:].First(kind)
			_, err = cutPower(t, next.Without(func(i int, _ powertest.Op) bool { return i == first }), c)
			require.ErrorIs(t, err, powertest.ErrOlder)
		})
	}
}

// TestPowerCutCannotSync: a database whose log or folder cannot be synced is not opened.
// What SQLite does itself syncs nothing here.
func TestPowerCutCannotSync(t *testing.T) {
	strace := needtest.Program(t, "strace", "strace")
	folder, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	recorded(t, folder, nil, "open step:2")
	self, err := os.Executable()
	require.NoError(t, err)
	open := func(options ...string) (string, error) {
		cmd := exec.Command(strace, append(options, "-f", "-o", filepath.Join(t.TempDir(), "trace"), self)...)
		cmd.Env = append(os.Environ(), childScript+"=open", childFolder+"="+folder)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, path := range []string{folder, filepath.Join(folder, walName)} {
		out, err := open("-P", path, "-e", "inject=fsync,fdatasync:error=EIO")
		require.Error(t, err)
		require.Contains(t, out, syscall.EIO.Error())
		require.NotContains(t, out, "step")
	}
	out, err := open("-P", folder)
	require.NoError(t, err, out)
	require.Equal(t, "step 2\n", out)
}

// TestPowerCutFindsFaults: the same test finds transactions that are confirmed before
// they are synced, and syncs that are missing.
func TestPowerCutFindsFaults(t *testing.T) {
	log := recorded(t, t.TempDir(), nil, "open small step:6")
	c := powertest.Cuts{Most: 3, Every: 2, From: log.First(powertest.Step)}
	_, err := cutPower(t, log, c)
	require.NoError(t, err)
	early, steps := log.Early()
	require.Positive(t, steps)
	_, err = cutPower(t, early, c)
	require.ErrorIs(t, err, powertest.ErrOlder)

	for name, missing := range map[string]func(o powertest.Op) bool{
		"all":              func(o powertest.Op) bool { return o.Kind == powertest.Sync || o.Kind == powertest.SyncFolder }, // synchronous=OFF
		"the log's":        func(o powertest.Op) bool { return o.Kind == powertest.Sync && o.Name == walName },
		"the checkpoint's": func(o powertest.Op) bool { return o.Kind == powertest.Sync && o.Name == fileName },
	} {
		_, err := cutPower(t, log.Without(func(i int, o powertest.Op) bool { return i > c.From && missing(o) }), c)
		require.Error(t, err, name)
	}
	_, err = cutPower(t, log.Without(func(_ int, o powertest.Op) bool { return o.Kind == powertest.SyncFolder }), c)
	require.ErrorIs(t, err, powertest.ErrOlder)

	weak := recorded(t, t.TempDir(), nil, "open small weak:3") // synchronous=NORMAL
	_, err = cutPower(t, weak, powertest.Cuts{Most: 3, From: weak.First(powertest.Step)})
	require.ErrorIs(t, err, powertest.ErrOlder)
}

// Package pgtest starts PostgreSQL servers for tests: each in a folder of its own, on a
// free port of 127.0.0.1, with a password that nobody else knows. A server ends with its
// test, and on Linux with the process of the test, whatever ends that.
//
// The programs are those of Debian's package postgresql; without them the test is skipped
// (see internal/needtest). They refuse to run as root: where the test does, they run as
// the user postgres, or else nobody.
package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/needtest"
	"github.com/tandem-rsa/tandem/service/internal/childtest"
)

// patience is how long a server may take to start or stop.
const patience = 2 * time.Minute

// Server is a PostgreSQL server with a folder of data.
type Server struct {
	bin, dir, password string
	port               int
	owner              owner
	settings           []string

	mu      sync.Mutex
	process *exec.Cmd
	log     *bytes.Buffer
	ended   chan struct{} // closed when the process has ended
}

// owner is the user that the programs run as.
type owner struct {
	other    bool // not the one of this process
	uid, gid uint32
	name     string
}

// New makes a folder of data with checksums and starts a server on it. Settings are lines
// of postgresql.conf, as "fsync=off"; those that durability needs are on.
func New(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := prepare(t)
	s.settings = settings
	pw := filepath.Join(s.dir, "password")
	require.NoError(t, os.WriteFile(pw, []byte(s.password), 0o600))
	s.chown(t, pw)
	s.run(t, "initdb", "-D", s.data(), "-U", "postgres", "-A", "password", "--pwfile", pw,
		"--data-checksums", "--no-sync", "-E", "UTF8", "--locale", "C")
	s.Start(t)
	return s
}

// prepare finds the programs, and makes a folder and a password.
func prepare(t testing.TB) *Server {
	t.Helper()
	postgres := needtest.File(t, "postgresql", programs...)
	dir, err := os.MkdirTemp("", "tandem-postgres")
	require.NoError(t, err)
	s := &Server{bin: filepath.Dir(postgres), dir: dir, password: rand.Text()}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.owner, err = whose()
	require.NoError(t, err)
	s.chown(t, dir)
	return s
}

// programs is where the server is.
var programs = []string{
	"/usr/lib/postgresql/*/bin/postgres", "/usr/pgsql-*/bin/postgres", "/usr/local/pgsql/bin/postgres",
	"/opt/homebrew/opt/postgresql*/bin/postgres", "/usr/local/opt/postgresql*/bin/postgres",
}

// whose chooses the user of the programs.
func whose() (owner, error) {
	if os.Getuid() != 0 {
		return owner{name: "nobody else"}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return owner{true, uint32(uid), uint32(gid), name}, nil
		}
	}
	return owner{}, errors.New("pgtest: no user postgres or nobody, and PostgreSQL refuses root")
}

func (s *Server) chown(t testing.TB, path string) {
	t.Helper()
	if s.owner.other {
		require.NoError(t, os.Chown(path, int(s.owner.uid), int(s.owner.gid)))
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is one of PostgreSQL's programs, as the owner.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC", "PGPASSWORD=" + s.password}
	cmd.SysProcAttr = attributes(s.owner)
	return cmd
}

// run runs one of PostgreSQL's programs to its end.
func (s *Server) run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
	return string(out)
}

// Run runs one of PostgreSQL's programs, such as psql or pgbench, with the address of the
// server in its environment, and returns what it prints.
func (s *Server) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := s.command(name, args...)
	cmd.Env = append(cmd.Env, "PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(s.port), "PGUSER=postgres", "PGDATABASE=postgres")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
	return string(out)
}

// Address is "127.0.0.1:port".
func (s *Server) Address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// Folder is one that the server's user may write to.
func (s *Server) Folder() string { return s.dir }

// URL is that of the superuser at the server's own address. Parameters are as
// "search_path=a".
func (s *Server) URL(parameters ...string) string { return s.URLAt(s.Address(), parameters...) }

// URLAt is URL for another address, such as a proxy's.
func (s *Server) URLAt(address string, parameters ...string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", s.password), Host: address, Path: "/postgres",
		RawQuery: strings.Join(append(parameters, "sslmode=disable"), "&")}
	return u.String()
}

// Connect opens a connection, which is closed with the test.
func (s *Server) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// Exec runs SQL.
func (s *Server) Exec(t testing.TB, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), sql)
	require.NoError(t, err, sql)
}

// Value returns the only value of a query, as text.
func (s *Server) Value(t testing.TB, sql string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL())
	require.NoError(t, err)
	defer conn.Close(context.Background())
	require.NoError(t, conn.QueryRow(context.Background(), sql).Scan(&value), sql)
	return value
}

// Version is the server's, as "15.18".
func (s *Server) Version(t testing.TB) string {
	t.Helper()
	version, _, _ := strings.Cut(s.Value(t, "SHOW server_version"), " ")
	return version
}

// Start starts the server, and returns when it takes connections.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := s.tryStart(t)
		if err == nil {
			return
		}
		// Another process took the port, or processes of a killed server have not ended.
		require.True(t, time.Now().Before(deadline), "%v", err)
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *Server) tryStart(t testing.TB) error {
	t.Helper()
	if s.port == 0 {
		s.port = freePort(t)
	}
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-h", "127.0.0.1", "-k", "", "-N", "100"}
	for _, setting := range append([]string{"shared_buffers=32MB", "autovacuum_naptime=10s", "max_wal_senders=4",
		"wal_keep_size=256MB", "log_min_messages=warning"}, s.settings...) {
		args = append(args, "-c", setting)
	}
	cmd := s.command("postgres", args...)
	log := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	// SIGQUIT ends a server at once, with all of its processes.
	if err := childtest.Start(cmd, syscall.SIGQUIT); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	s.mu.Lock()
	first := s.process == nil
	s.process, s.log, s.ended = cmd, log, ended
	s.mu.Unlock()
	if first {
		t.Cleanup(func() { s.end(os.Kill) })
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		select {
		case <-ended:
			return fmt.Errorf("pgtest: server does not start: %s", log)
		case <-time.After(20 * time.Millisecond):
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
	}
	s.end(os.Kill)
	return errors.New("pgtest: server does not answer")
}

// freePort is free a moment before the server takes it.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// end sends a signal to the server and waits until it has ended.
func (s *Server) end(signal os.Signal) {
	s.mu.Lock()
	process, ended := s.process, s.ended
	s.mu.Unlock()
	if process == nil {
		return
	}
	process.Process.Signal(signal)
	<-ended
}

// Kill ends the server as kill -9 does. Its other processes notice, and end soon.
func (s *Server) Kill() { s.end(os.Kill) }

// Stop ends the server in good order, with its connections.
func (s *Server) Stop() { s.end(os.Interrupt) }

// Reload has the server read its settings again, after ALTER SYSTEM.
func (s *Server) Reload(t testing.TB) { t.Helper(); s.Exec(t, "SELECT pg_reload_conf()") }

// Log is what the server has printed since it was started. The server must have ended.
func (s *Server) Log() string { return s.log.String() }

// Tool runs one of PostgreSQL's programs on the folder of a server that is stopped.
func (s *Server) Tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	return s.run(t, name, args...)
}

// Commits returns how many transactions were committed to the server's log while f ran:
// those that wrote something. The server should run with autovacuum=off.
func (s *Server) Commits(t testing.TB, f func()) int {
	t.Helper()
	const where = "SELECT pg_current_wal_insert_lsn()::text"
	begin := s.Value(t, where)
	f()
	end := s.Value(t, where)
	if end == begin {
		return 0
	}
	s.Exec(t, "SELECT pg_switch_wal()") // so that all of it is in a file
	out := s.run(t, "pg_waldump", "-p", filepath.Join(s.data(), "pg_wal"), "-r", "Transaction", "-s", begin, "-e", end)
	return strings.Count(out, " desc: COMMIT ")
}

package pgtest

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Standby makes a copy of a running server and starts it as a standby that follows it.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	b := prepare(t)
	b.password, b.settings = s.password, s.settings
	s.copyTo(t, b, b.data())
	b.Follow(t, s)
	b.Start(t)
	return b
}

// copyTo copies the running server to a folder of another one, as pg_basebackup does.
func (s *Server) copyTo(t testing.TB, other *Server, folder string) {
	t.Helper()
	other.run(t, "pg_basebackup", "-D", folder, "-d", s.URL(), "-X", "stream", "-c", "fast", "--no-sync")
}

// Backup copies the running server, as it is at one moment, for Restore.
func (s *Server) Backup(t testing.TB) (folder string) {
	t.Helper()
	folder = filepath.Join(s.dir, "backup-"+rand.Text())
	s.copyTo(t, s, folder)
	return folder
}

// Restore stops the server, and starts it with the data of a backup.
func (s *Server) Restore(t testing.TB, folder string) {
	t.Helper()
	s.Stop()
	require.NoError(t, os.RemoveAll(s.data()))
	cmd := exec.Command("cp", "-a", folder, s.data()) // with owner and mode
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	s.Start(t)
}

// Follow makes a server that is stopped a standby of another, from its next start on.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	signal := filepath.Join(s.data(), "standby.signal")
	require.NoError(t, os.WriteFile(signal, nil, 0o600))
	s.chown(t, signal)
	auto := filepath.Join(s.data(), "postgresql.auto.conf")
	text := fmt.Sprintf("primary_conninfo = '%s'\nrecovery_target_timeline = 'latest'\n", primary.URL())
	require.NoError(t, os.WriteFile(auto, []byte(text), 0o600))
	s.chown(t, auto)
}

// Rewind makes the data of a server that is stopped those of another that was promoted in
// its place, as pg_rewind does. Before PostgreSQL 16 pg_rewind compares what the last
// checkpoint says: without one on the new primary it finds nothing to do, and the former
// primary would follow with a history of its own.
func (s *Server) Rewind(t testing.TB, primary *Server) {
	t.Helper()
	primary.Exec(t, "CHECKPOINT")
	out := s.run(t, "pg_rewind", "-D", s.data(), "--source-server", primary.URL(), "--no-sync")
	require.Contains(t, out, "Done!", "nothing was rewound")
}

// Promote makes a standby a primary, and returns when it is one.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	require.Equal(t, "true", s.Value(t, "SELECT pg_promote(true, 60)::text"))
}

// AwaitSync returns when a standby follows the server synchronously.
func (s *Server) AwaitSync(t testing.TB) {
	t.Helper()
	conn := s.Connect(t)
	deadline := time.Now().Add(patience)
	for {
		var n int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')").Scan(&n)
		require.NoError(t, err)
		if n > 0 {
			return
		}
		require.True(t, time.Now().Before(deadline), "no standby follows")
		time.Sleep(10 * time.Millisecond)
	}
}

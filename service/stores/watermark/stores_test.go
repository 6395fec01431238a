package watermark_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/postgres"
	"github.com/tandem-rsa/tandem/service/stores/watermark/watermarktest"
)

// TestBoltRestored: see watermarktest. The copies are bolt's own backups.
func TestBoltRestored(t *testing.T) {
	watermarktest.Run(t, func(t *testing.T) watermarktest.Database {
		name := filepath.Join(t.TempDir(), "store.db")
		backup := filepath.Join(t.TempDir(), "backup.db")
		return watermarktest.Database{
			Open: func() limiter.Store {
				s, err := bolt.Open(name, bolt.Options{})
				require.NoError(t, err)
				return s
			},
			Close: func(s limiter.Store) { require.NoError(t, s.(*bolt.Store).Close()) },
			Backup: func(s limiter.Store) {
				f, err := os.Create(backup)
				require.NoError(t, err)
				require.NoError(t, s.(*bolt.Store).Backup(t.Context(), f))
				require.NoError(t, f.Close())
			},
			Restore: func() { require.NoError(t, os.Rename(backup, name)) },
		}
	})
}

// TestPostgresRestored: the copies are those of pg_dump.
func TestPostgresRestored(t *testing.T) {
	watermarktest.Run(t, func(t *testing.T) watermarktest.Database {
		server := pgtest.New(t)
		backup := filepath.Join(server.Folder(), "backup.sql")
		return watermarktest.Database{
			Open: func() limiter.Store {
				s, err := postgres.Open(t.Context(), server.URL(), postgres.Options{})
				require.NoError(t, err)
				return s
			},
			Close:   func(s limiter.Store) { require.NoError(t, s.(*postgres.Store).Close()) },
			Backup:  func(limiter.Store) { server.Run(t, "pg_dump", "--clean", "--if-exists", "-f", backup, server.URL()) },
			Restore: func() { server.Run(t, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", backup, server.URL()) },
		}
	})
}

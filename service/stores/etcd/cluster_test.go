package etcd

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/lineartest"
	"github.com/tandem-rsa/tandem/service/stores/watermark/watermarktest"
)

// TestThreeMembers has what needs a cluster of three, and shares one.
func TestThreeMembers(t *testing.T) {
	c := etcdtest.Start(t, 3)
	t.Run("Linearizable", func(t *testing.T) {
		f := lineartest.Run(t, durabletest.Times(2000, 20, 5), database(t, c))
		durabletest.Claim(t, "linearizable: etcd %s, 3 members, %d histories of %d calls", c.Version(), f.Histories, f.Calls/f.Histories)
	})
	t.Run("Processes", func(t *testing.T) { processes(t, c) })
	t.Run("Failover", func(t *testing.T) { failover(t, c) })
	t.Run("Minority", func(t *testing.T) { minority(t, c) }) // at the end
}

// minority: a member that has no majority answers nothing: not what it had, not that
// there is nothing, and not a write. Afterwards it does.
func minority(t *testing.T, c *etcdtest.Cluster) {
	alone := c.Nodes[0]
	s := openOn(t, c, Options{Endpoints: []string{alone.Direct()}, Every: never})
	require.NoError(t, s.Create(t.Context(), "id", []byte("v")))
	_, version, err := s.Load(t.Context(), "id")
	require.NoError(t, err)
	c.Nodes[1].Kill()
	c.Nodes[2].Kill()
	for _, call := range []func(ctx context.Context) error{
		func(ctx context.Context) error { _, _, err := s.Load(ctx, "id"); return err },
		func(ctx context.Context) error { _, _, err := s.Load(ctx, "none"); return err },
		func(ctx context.Context) error { _, err := s.List(ctx, "", "", 1); return err },
		func(ctx context.Context) error { return s.Swap(ctx, "id", version, []byte("w")) },
		s.Ping,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		err := call(ctx)
		cancel()
		require.Error(t, err)
		require.NotErrorIs(t, err, limiter.ErrNotFound)
		require.NotErrorIs(t, err, limiter.ErrConflict)
	}
	c.Nodes[1].Restart(t)
	c.Nodes[2].Restart(t)
	c.Await()
	value, _, err := s.Load(t.Context(), "id")
	require.NoError(t, err)
	require.Contains(t, []string{"v", "w"}, string(value))
}

// TestRestored: see watermarktest. The copies are snapshots, as etcdctl makes and
// restores them.
func TestRestored(t *testing.T) {
	c := etcdtest.Start(t, 1)
	watermarktest.Run(t, func(t *testing.T) watermarktest.Database {
		backup := filepath.Join(t.TempDir(), "backup")
		o := Options{Endpoints: c.Endpoints(), Prefix: t.Name() + "/"}
		return watermarktest.Database{
			Open: func() limiter.Store {
				s, err := Open(t.Context(), o)
				require.NoError(t, err)
				return s
			},
			Close:   func(s limiter.Store) { require.NoError(t, s.(*Store).Close()) },
			Backup:  func(limiter.Store) { c.Snapshot(t, backup) },
			Restore: func() { c.Restore(t, backup) },
		}
	})
}

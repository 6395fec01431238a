package sqlstore_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/catest"
	"github.com/tandem-rsa/tandem/service/ca/sqlstore"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
)

func TestMain(m *testing.M) { os.Exit(databasetest.Main(m)) }

func newStore(t *testing.T, db *database.DB) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(db)
	require.NoError(t, err)
	return s
}

// TestContract is that of every ca.Store.
func TestContract(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		catest.Test(t, func(t *testing.T) ca.Store { return newStore(t, open()) })
	})
}

// TestIssued: what was issued for a document number, and nothing of another's.
func TestIssued(t *testing.T) {
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		s := newStore(t, open())
		for n, document := range []string{"a", "b", "a"} {
			r := ca.Record{Serial: ca.Serial{byte(n + 1)}, Issuer: "i", Document: document, NotAfter: time.Unix(int64(n), 0), DER: []byte{byte(n)}}
			require.NoError(t, s.Create(t.Context(), r))
		}
		require.NoError(t, s.Revoke(t.Context(), ca.Serial{1}, ca.Revocation{At: time.Unix(9, 0), Reason: ca.Superseded}))
		got, err := s.Issued(t.Context(), "a")
		require.NoError(t, err)
		serials := map[ca.Serial]bool{}
		for _, r := range got {
			serials[r.Serial] = r.Revoked != nil
		}
		require.Equal(t, map[ca.Serial]bool{{1}: true, {3}: false}, serials)
		got, err = s.Issued(t.Context(), "c")
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

// TestNothing: calls with nothing are errors and no panics.
func TestNothing(t *testing.T) {
	_, err := sqlstore.New(nil)
	require.Error(t, err)
	var none *sqlstore.Store
	good := newStore(t, databasetest.Open(t, databasetest.SQLite(t)))
	var nothing context.Context
	for _, c := range []struct {
		s   *sqlstore.Store
		ctx context.Context
	}{{none, t.Context()}, {new(sqlstore.Store), t.Context()}, {good, nothing}} {
		require.Error(t, c.s.Create(c.ctx, ca.Record{}))
		_, err := c.s.Record(c.ctx, ca.Serial{})
		require.Error(t, err)
		require.Error(t, c.s.Revoke(c.ctx, ca.Serial{}, ca.Revocation{}))
		_, err = c.s.Revoked(c.ctx, "", time.Time{})
		require.Error(t, err)
		_, err = c.s.Issued(c.ctx, "")
		require.Error(t, err)
		_, _, err = c.s.CRL(c.ctx, "")
		require.Error(t, err)
		require.Error(t, c.s.SetCRL(c.ctx, "", 1, nil))
	}
}

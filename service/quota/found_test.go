package quota_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/quota"
)

// TestAllowFound: an attempt of whom the transaction finds takes a place; where nobody is
// found, none is taken.
func TestAllowFound(t *testing.T) {
	errNobody := errors.New("nobody")
	nobody := func(context.Context, *sql.Tx) (quota.Attempt, error) { return quota.Attempt{Person: "a"}, errNobody }
	mari := func(ctx context.Context, tx *sql.Tx) (a quota.Attempt, err error) {
		return a, tx.QueryRowContext(ctx, "SELECT 'a'").Scan(&a.Person)
	}
	databasetest.Run(t, func(t *testing.T, open func() *database.DB) {
		db, c := open(), newClock()
		q := newQuota(t, db, quota.Rules{Person: []quota.Rule{{2, time.Minute}}}, c)
		for range 3 {
			require.ErrorIs(t, q.AllowFound(t.Context(), nobody), errNobody)
		}
		require.NoError(t, q.AllowFound(t.Context(), mari))
		require.NoError(t, q.AllowFound(t.Context(), mari))
		var l *quota.Later
		require.ErrorAs(t, q.AllowFound(t.Context(), mari), &l)
		require.ErrorAs(t, q.AllowFound(t.Context(), mari), &l, "now it knows by itself")
		require.Equal(t, 30*time.Second, l.After)
		later(t, q, quota.Attempt{Person: "a"}, 30*time.Second)
		require.NoError(t, q.Allow(t.Context(), quota.Attempt{Person: "b"}))

		free := newQuota(t, db, quota.Rules{}, c)
		require.NoError(t, free.AllowFound(t.Context(), mari))
		require.ErrorIs(t, free.AllowFound(t.Context(), nobody), errNobody)
		require.ErrorIs(t, q.AllowFound(t.Context(), nil), quota.ErrConfig)
		require.ErrorIs(t, new(quota.Quota).AllowFound(t.Context(), mari), quota.ErrConfig)
	})
}

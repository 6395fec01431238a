package accounts_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
)

// TestKeptAccounts: what a node keeps of an account in memory is never older than what
// the database has, whichever node has changed it, and whatever of it.
func TestKeptAccounts(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		config := w.config
		config.DB = w.open()
		other, err := accounts.New(config)
		require.NoError(t, err)
		p := w.openAccount(t)
		now := func() accounts.Account {
			t.Helper()
			// AllByPerson keeps nothing.
			all, err := w.AllByPerson(t.Context(), mari.ID)
			require.NoError(t, err)
			require.Equal(t, p.account.Document, all[0].Document)
			for range 2 {
				for _, a := range []*accounts.Accounts{w.Accounts, other} {
					got, err := a.ByToken(t.Context(), p.token)
					if !all[0].State.Open() {
						require.ErrorIs(t, err, accounts.ErrEnded)
					} else {
						require.NoError(t, err)
						open, err := a.ByPerson(t.Context(), mari.ID)
						require.NoError(t, err)
						require.Contains(t, open, all[0])
					}
					require.Equal(t, all[0], got)
					got, err = a.ByDocument(t.Context(), p.account.Document)
					require.NoError(t, err)
					require.Equal(t, all[0], got)
				}
			}
			return all[0]
		}
		require.Equal(t, accounts.Active, now().State)
		require.NoError(t, other.Suspend(t.Context(), p.account.Document))
		require.Equal(t, accounts.Suspended, now().State)
		require.NoError(t, w.Resume(t.Context(), p.account.Document))
		require.Equal(t, accounts.Active, now().State)
		p.destroy(t, 0)
		require.NotZero(t, now().Keys[0].Destroyed)
		require.NoError(t, other.End(t.Context(), p.account.Document, accounts.ByOwner))
		require.Equal(t, accounts.ByOwner, now().Cause)

		// The person comes back under another name.
		was := mari
		mari.Surname = "KUUSK"
		defer func() { mari = was }()
		w.openAccount(t)
		require.Equal(t, "KUUSK", now().Person.Surname)
	})
}

package self

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/rp/rpclient"
	"github.com/tandem-rsa/tandem/service/web/login"
)

// TestFresh: an account is ended within ten minutes of a login, and not later.
func TestFresh(t *testing.T) {
	d, err := identity.ParseDocument("PNOEE-40504040001-7TRE-Q")
	require.NoError(t, err)
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for after, problem := range map[time.Duration]string{0: "", 10 * time.Minute: "", 10*time.Minute + time.Second: "self.notfresh"} {
		s := &Self{config: Config{Clock: func() time.Time { return began.Add(after) }}}
		e := s.mayEnd(&login.Visit{Person: rpclient.Person{Document: d}, At: began}, &accounts.Account{Document: d, Level: d.Level, State: accounts.Active})
		require.Equal(t, problem, e.Problem)
		require.Equal(t, problem != "", e.Again)
		require.True(t, e.Current)
	}
}

package transactions

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/identity"
)

// BenchmarkSession is a login from its beginning to its result, without the signature
// itself: what the service adds to that.
func BenchmarkSession(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{"sqlite": databasetest.SQLite, "postgres": databasetest.Postgres} {
		b.Run("v2/"+name, func(b *testing.B) {
			db := databasetest.Open(b, address(b))
			w := newWorld(b, func() *database.DB { return db })
			ada := w.account("40504040001", identity.Qualified)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				s := w.begin(login2(of(ada)))
				_, err := w.sign(ada, s.ID, w.claim(ada, s.ID).ToSign, "right")
				require.NoError(b, err)
				require.NotNil(b, w.status(s.ID).Outcome)
				w.clock.Add(Retention)
				if n++; n%16 == 0 {
					require.NoError(b, w.Sweep(b.Context()))
				}
			}
		})
	}
}

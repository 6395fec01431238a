package databasetest

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

// TestPlans: a statement that reads the whole of a table is told from one that does not.
func TestPlans(t *testing.T) {
	for _, engine := range []struct {
		name    string
		address func(testing.TB) string
	}{{"SQLite", SQLite}, {"PostgreSQL", Postgres}} {
		t.Run(engine.name, func(t *testing.T) {
			p := &plans{postgres: engine.name == "PostgreSQL"}
			db := Open(t, engine.address(t))
			if p.postgres {
				db = unused(t)
			}
			for statement, whole := range map[string]bool{
				"SELECT entry FROM history WHERE person = $1 AND id < $2 ORDER BY id DESC LIMIT $3":   false,
				"SELECT entry FROM history WHERE document = $1":                                       true,
				"SELECT entry FROM history ORDER BY id":                                               true,
				"SELECT count(*) FROM history":                                                        true,
				"UPDATE history SET entry = $1 WHERE person = $2 AND id = $3":                         false,
				"UPDATE history SET entry = $1":                                                       true,
				"DELETE FROM history WHERE document = $1 AND entry = $2":                              true,
				"INSERT INTO crls (issuer, number, der) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING":   false,
				"SELECT state FROM sessions WHERE id = $1 FOR UPDATE":                                 false,
				"SELECT a.state FROM accounts a JOIN persons p ON p.id = a.person WHERE a.token = $1": false,
				"SELECT a.state FROM accounts a JOIN persons p ON p.id = a.person WHERE a.cause = $1": true,
				`SELECT s.state FROM session_accounts a JOIN sessions s ON s.id = a.session
WHERE a.document = $1 AND a.awaits = 0 AND s.deadline > $2 ORDER BY s.began, s.id LIMIT 1`: false,
				"DELETE FROM history WHERE id IN (SELECT id FROM history WHERE document = $1)": true,
			} {
				plan, err := p.explain(t.Context(), db, statement)
				require.NoError(t, err, statement)
				if p.postgres || !strings.HasPrefix(statement, "INSERT") { // of which SQLite says nothing
					require.NotEmpty(t, plan, statement)
				}
				require.Equal(t, whole, p.whole(plan), "%s\n%s", statement, strings.Join(plan, "\n"))
			}
		})
	}
}

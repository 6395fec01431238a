package node_test

import (
	"context"
	"maps"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/database/databasetest"
	"github.com/tandem-rsa/tandem/service/node"
)

// counted is what requests cost the database. Those of the background do not count.
type counted struct {
	mu sync.Mutex
	of map[string]int
}

type countedKey struct{}

func (c *counted) trace(ctx context.Context, statement string) {
	if ctx.Value(countedKey{}) == nil {
		return
	}
	if verb, _, _ := strings.Cut(statement, " "); verb != "BEGIN" && verb != "COMMIT" {
		statement = "statements"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of[statement]++
}

func (c *counted) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := maps.Clone(c.of)
	clear(c.of)
	return of
}

// TestLoginCosts: what a login costs the database, however many there were before.
func TestLoginCosts(t *testing.T) {
	c := counted{of: map[string]int{}}
	config, _ := newConfig(t, "TEST Tree issuing")
	keys, err := server.NewKeyPool(2048, 0)
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	config.Server.Keys = keys
	config.DB = databasetest.OpenTraced(t, databasetest.SQLite(t), c.trace)
	n, err := node.Open(t.Context(), config)
	require.NoError(t, err)
	listening := httptest.NewUnstartedServer(n)
	listening.Config.BaseContext = func(net.Listener) context.Context { return context.WithValue(context.Background(), countedKey{}, true) }
	listening.Start()
	t.Cleanup(func() {
		n.Drain()
		listening.Close()
		n.Close()
	})
	all := clients{URL: listening.URL, Scheme: config.Scheme, Folder: t.TempDir(), HPKE: n.HPKEKey(), Persons: register(t, n, 1)}
	require.NoError(t, all.enrol(t.Context()))
	for range 2 { // the first takes places ahead, for the quotas of all
		c.take()
		begun, err := all.begin(t.Context(), all.Persons[0])
		require.NoError(t, err)
		require.NoError(t, answer(t.Context(), all.Persons[0].phone))
		require.NoError(t, all.result(t.Context(), all.Persons[0], begun))
	}
	require.Equal(t, map[string]int{
		"BEGIN": 3, "BEGIN LOOSE": 1, "COMMIT": 4, "statements": 25,
	}, c.take())
}

package pgtest

import (
	"slices"
	"sync"
	"testing"
)

// shared is a server for all tests of a package.
var shared struct {
	sync.Mutex
	server   *Server
	cleanups []func()
}

// lasting is a test whose cleanups wait for EndShared.
type lasting struct{ testing.TB }

func (lasting) Cleanup(f func()) { shared.cleanups = append(shared.cleanups, f) }

// Shared returns a server that the tests of a package share, with the settings that New
// gives it. Each test must use a schema of its own. TestMain must call EndShared.
func Shared(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		shared.server = New(lasting{t})
	}
	return shared.server
}

// EndShared ends the server of Shared, if there is one.
func EndShared() {
	shared.Lock()
	defer shared.Unlock()
	for _, f := range slices.Backward(shared.cleanups) {
		f()
	}
	shared.server, shared.cleanups = nil, nil
}

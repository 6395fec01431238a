package postgres

import (
	"testing"

	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/stores/internal/lineartest"
)

// TestLinearizable: some order of them, one after the other, explains what concurrent
// attempts on two nodes are answered.
func TestLinearizable(t *testing.T) {
	f := lineartest.Run(t, durabletest.Times(2000, 60, 20), database(t))
	durabletest.Claim(t, "linearizable: PostgreSQL, %d histories of %d calls on 2 nodes", f.Histories, f.Calls/f.Histories)
}

package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/pgtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
)

// TestOneWriteASignature: a signature, from the challenge to the answer, is one durable
// write.
func TestOneWriteASignature(t *testing.T) {
	server := pgtest.New(t, "autovacuum=off")
	sign := benchtest.Signer(t, open(t, server.URL()))
	for range 3 {
		require.Equal(t, 1, server.Commits(t, sign))
	}
}

func BenchmarkSignature(b *testing.B) {
	benchtest.Signature(b, "postgres", func(b *testing.B) limiter.Store { return openNew(b) })
}

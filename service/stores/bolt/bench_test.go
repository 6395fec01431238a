package bolt

import (
	"testing"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
)

func BenchmarkAttempt(b *testing.B) {
	benchtest.Attempts(b, func(b *testing.B, _ int) limiter.Store { return openNew(b) })
}

func BenchmarkSignature(b *testing.B) {
	benchtest.Signature(b, "bolt", func(b *testing.B) limiter.Store { return openNew(b) })
}

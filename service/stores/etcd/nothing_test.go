package etcd

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
)

// TestNothing: no nil and no zero value causes a panic or is accepted.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*Store)(nil)},
		Functions: map[string]any{"Open": Open},
		Good:      []any{t.Context(), "id", time.Now()},
	})
	for _, o := range []Options{{}, {Endpoints: []string{"127.0.0.1:1"}, Quota: -1}, {Endpoints: []string{"127.0.0.1:1"}, Every: -1}} {
		_, err := Open(t.Context(), o)
		require.Error(t, err)
	}
}

package observe

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
)

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*PingError)(nil)},
		Functions: map[string]any{"WithRequestID": WithRequestID, "RequestID": RequestID},
	})
}

// TestPingError: the parts that do not answer are named, with their causes, and no
// others.
func TestPingError(t *testing.T) {
	full, away := errors.New("disk full"), errors.New("token away")
	var err error = &PingError{Store: full, Keys: away}
	require.EqualError(t, err, "server: not well: store: disk full; keys: token away")
	require.ErrorIs(t, err, full)
	require.ErrorIs(t, err, away)
}

func TestRequestID(t *testing.T) {
	ctx := WithRequestID(t.Context(), "r-17")
	require.Equal(t, "r-17", RequestID(ctx))
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	require.Equal(t, "r-17", RequestID(inner))
	require.Empty(t, RequestID(t.Context()))
}

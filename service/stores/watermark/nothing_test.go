package watermark

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
)

// TestNothing: no nil, zero value or nil in an interface causes a panic or is accepted.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*Store)(nil), (*File)(nil), (*Recovery)(nil)},
		Values:    []func() any{func() any { s, _ := newNode(t, newRecords(), Options{}); return s }},
		Functions: map[string]any{"Create": Create, "Discard": Discard, "Unused": Unused, "Check": Check, "Open": Open, "OpenFile": OpenFile, "BeginRecovery": BeginRecovery},
		Good:      []any{newRecords(), new(keeper), "id", time.Now()},
		Nils:      []any{(*records)(nil), (*keeper)(nil), (*File)(nil)},
	})
	_, err := OpenFile("")
	require.Error(t, err)
}

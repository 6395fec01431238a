package limiter_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// pointerStore is a store whose methods need a pointer that is not nil.
type pointerStore struct{ limiter.Store }

func (s *pointerStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	return s.Store.Load(ctx, id)
}

type pointerLister struct{ limiter.Lister }

func (l *pointerLister) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	return l.Lister.List(ctx, prefix, after, limit)
}

// TestNothing: no nil, zero value or nil in an interface causes a panic or is accepted.
func TestNothing(t *testing.T) {
	made := func() any {
		l, err := limiter.New(new(storetest.MemoryStore), limiter.DefaultPolicy())
		require.NoError(t, err)
		return l
	}
	niltest.Check(t, niltest.Package{
		Types: []any{
			(*limiter.Limiter)(nil), (*limiter.WrongPINError)(nil), (*limiter.LockedError)(nil), (*limiter.Policy)(nil), (*limiter.Counter)(nil),
		},
		Values: []func() any{made},
		Functions: map[string]any{
			"New": limiter.New, "DefaultPolicy": limiter.DefaultPolicy, "ParseCounter": limiter.ParseCounter, "CheckRecord": limiter.CheckRecord,
			"Update": limiter.Update, "IDs": limiter.IDs, "CheckList": limiter.CheckList, "IsVerdict": limiter.IsVerdict,
		},
		Good: []any{new(storetest.MemoryStore), limiter.DefaultPolicy(), "id", time.Now()},
		Nils: []any{(*pointerStore)(nil), (*limiter.WrongPINError)(nil), (*limiter.LockedError)(nil)},
		May: map[string]string{
			"Counter.MarshalBinary": "the zero value is a new key's",
			"Counter.AppendBinary":  "the zero value is a new key's",
			"WrongPINError.Is":      "it says no",
		},
	})
	for _, l := range []limiter.Lister{nil, (*pointerLister)(nil)} {
		ended := 0
		for id, err := range limiter.IDs(t.Context(), l, "") {
			require.Empty(t, id)
			require.Error(t, err)
			ended++
		}
		require.Equal(t, 1, ended)
	}
}

package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// listed is a Lister of given pages.
type listed func(after string) ([]string, error)

func (l listed) List(_ context.Context, prefix, after string, limit int) ([]string, error) {
	return l(after)
}

func TestIDs(t *testing.T) {
	s := new(storetest.MemoryStore)
	const n = 2*limiter.ListPage + 1
	for i := range n {
		require.NoError(t, s.Create(t.Context(), fmt.Sprintf("key/%06d", i), nil))
	}
	require.NoError(t, s.Create(t.Context(), "other", nil))
	next := 0
	for id, err := range limiter.IDs(t.Context(), s, "key/") {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("key/%06d", next), id)
		next++
	}
	require.Equal(t, n, next)
	for range limiter.IDs(t.Context(), s, "") {
		next++
		break
	}
	require.Equal(t, n+1, next, "it went on after a break")
}

// TestIDsEnds: an error ends the range, and so does a store that would keep it going for
// ever.
func TestIDsEnds(t *testing.T) {
	down := errors.New("down")
	for name, c := range map[string]struct {
		list listed
		ids  int
		want string
	}{
		"store down at once": {func(string) ([]string, error) { return nil, down }, 0, "down"},
		"store down later": {func(after string) ([]string, error) {
			if after == "" {
				return []string{"id 1", "id 2"}, nil
			}
			return nil, down
		}, 2, "down"},
		"one page for ever":  {func(string) ([]string, error) { return []string{"id 1", "id 2"}, nil }, 2, "after"},
		"one id for ever":    {func(string) ([]string, error) { return []string{"id 1"}, nil }, 1, "after"},
		"not in order":       {func(string) ([]string, error) { return []string{"id 2", "id 1"}, nil }, 1, "after"},
		"of another prefix":  {func(string) ([]string, error) { return []string{"other"}, nil }, 0, "prefix"},
		"the empty id":       {func(string) ([]string, error) { return []string{""}, nil }, 0, "after"},
		"an id and an error": {func(string) ([]string, error) { return []string{"id 1"}, down }, 0, "down"},
	} {
		t.Run(name, func(t *testing.T) {
			ids, errs := 0, 0
			for id, err := range limiter.IDs(t.Context(), c.list, "id") {
				require.Zero(t, errs, "it went on after an error")
				if err != nil {
					require.Empty(t, id)
					require.ErrorContains(t, err, c.want)
					errs++
					continue
				}
				ids++
				require.Less(t, ids, 10, "it goes on for ever")
			}
			require.Equal(t, c.ids, ids)
			require.Equal(t, 1, errs)
		})
	}
}

func TestIDsCancelled(t *testing.T) {
	s := new(storetest.MemoryStore)
	for i := range limiter.ListPage + 1 {
		require.NoError(t, s.Create(t.Context(), fmt.Sprint(i), nil))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for _, err := range limiter.IDs(ctx, s, "") {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			break
		}
		seen++
		cancel()
	}
	require.Equal(t, limiter.ListPage, seen, "the page that was loaded, and no other")
}

// ExampleIDs sweeps: it visits every record of a kind, however many there are, while the
// service runs.
func ExampleIDs() {
	ctx := context.Background()
	store := new(storetest.MemoryStore)
	for _, id := range []string{"key/1", "key/2", "invoice/1", "key/3"} {
		if err := store.Create(ctx, id, nil); err != nil {
			panic(err)
		}
	}
	for id, err := range limiter.IDs(ctx, store, "key/") {
		if err != nil {
			panic(err)
		}
		fmt.Println(strings.TrimPrefix(id, "key/"))
	}
	// Output:
	// 1
	// 2
	// 3
}

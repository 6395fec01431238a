//go:build cgo && unix && !nopkcs11

package tokenkeeper

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/hsm"
	"github.com/tandem-rsa/tandem/hsm/hsmtest"
	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// patience is longer than anything takes that does not hang.
const patience = 2 * time.Minute

// opened returns a keeper of the mark "node 1" in a token, and what closes the token.
func opened(t *testing.T, from hsmtest.Token) (*Keeper, func()) {
	t.Helper()
	token, err := hsm.Open(t.Context(), hsm.Config{
		Module: from.Module, Parameters: from.Parameters, Label: from.Label, Sessions: 1, CallTimeout: patience,
		PIN: func(context.Context) ([]byte, error) { return []byte(from.PIN), nil },
	})
	require.NoError(t, err)
	k, err := New(token, "node 1")
	require.NoError(t, err)
	return k, func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, token.Close(ctx))
	}
}

var options = watermark.Options{Lag: watermark.NoLag, Log: slog.New(slog.DiscardHandler)}

// TestModules: a mark in a token of each module has an older copy of the store refused,
// also when the token is opened anew. A module that keeps no data objects says so, and
// the store is as unused as before.
func TestModules(t *testing.T) {
	for _, m := range hsmtest.Modules {
		t.Run(m.Name, func(t *testing.T) {
			ctx := t.Context()
			token := m.New(t)
			k, end := opened(t, token)
			_, err := k.Load(ctx)
			require.ErrorIs(t, err, watermark.ErrNoMark)
			folder := t.TempDir()
			name, backup := filepath.Join(folder, "store"), filepath.Join(folder, "backup")
			store, err := bolt.Open(name, bolt.Options{})
			require.NoError(t, err)
			if m.Name == "NSS" {
				require.ErrorIs(t, watermark.Create(ctx, store, k), hsm.ErrUnsupported)
				unused, err := watermark.Unused(ctx, store)
				require.NoError(t, err)
				require.True(t, unused)
				require.NoError(t, store.Close())
				end()
				return
			}
			require.NoError(t, watermark.Create(ctx, store, k))
			require.NoError(t, store.Close())
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(backup, text, 0o600))
			count(t, name, k, 3)
			end()

			k, end = opened(t, token)
			count(t, name, k, 1)
			older, err := bolt.Open(backup, bolt.Options{})
			require.NoError(t, err)
			_, err = watermark.Open(ctx, older, k, options)
			require.ErrorIs(t, err, watermark.ErrWentBack)
			recovery, err := watermark.BeginRecovery(ctx, k, time.Now())
			require.NoError(t, err)
			end()

			k, end = opened(t, token)
			again, err := watermark.BeginRecovery(ctx, k, time.Now().Add(time.Hour))
			require.NoError(t, err)
			require.Equal(t, recovery.Began(), again.Began())
			require.NoError(t, again.Finish(ctx, older))
			require.NoError(t, older.Close())
			count(t, backup, k, 1)
			newer, err := bolt.Open(name, bolt.Options{}) // which is the one that was lost
			require.NoError(t, err)
			require.ErrorIs(t, watermark.Check(ctx, newer, k), watermark.ErrWentBack)
			require.NoError(t, newer.Close())

			require.NoError(t, k.Remove(ctx))
			_, err = k.Load(ctx)
			require.ErrorIs(t, err, watermark.ErrNoMark)
			end()
		})
	}
}

// count writes to a store under its mark.
func count(t *testing.T, name string, k watermark.Keeper, writes int) {
	t.Helper()
	store, err := bolt.Open(name, bolt.Options{})
	require.NoError(t, err)
	s, err := watermark.Open(t.Context(), store, k, options)
	require.NoError(t, err)
	for range writes {
		require.NoError(t, counted(t.Context(), s))
	}
	require.NoError(t, s.Close())
	require.NoError(t, store.Close())
}

// counted makes a record one byte longer, or makes it.
func counted(ctx context.Context, s limiter.Store) error {
	value, version, err := s.Load(ctx, "key")
	if err != nil {
		return s.Create(ctx, "key", nil)
	}
	return s.Swap(ctx, "key", version, append(value, 1))
}

// TestNothing: no nil, zero value or nil in an interface causes a panic or is accepted.
func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types: []any{(*Keeper)(nil)}, Values: []func() any{func() any { return new(Keeper) }},
		Functions: map[string]any{"New": New}, Good: []any{new(hsm.Token), "label", []byte{1}},
	})
	k, err := New(new(hsm.Token), "label")
	require.NoError(t, err)
	_, err = k.Load(t.Context())
	require.Error(t, err)
	require.NotErrorIs(t, err, watermark.ErrNoMark)
	require.Error(t, watermark.Create(t.Context(), new(storetest.MemoryStore), k))
}

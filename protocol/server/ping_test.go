package server

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// Parts that can be asked by a Ping of their own.
type (
	pingableStore struct {
		limiter.Store
		pinger
	}
	pingableSealer struct {
		Sealer
		pinger
	}
	pingableKeys struct {
		KeySource
		pinger
	}
	pinger struct {
		err   error
		asked *atomic.Int32
	}
)

func (p pinger) Ping(context.Context) error {
	p.asked.Add(1)
	return p.err
}

// wrongSealer opens something else than it sealed.
type wrongSealer struct{ Sealer }

func (w wrongSealer) Open(context.Context, []byte, []byte) ([]byte, error) {
	return make([]byte, 32), nil
}

// TestPing: each part is asked, also behind an observer, and the error says which of them
// do not answer.
func TestPing(t *testing.T) {
	away, elsewhere, gone := errors.New("store away"), errors.New("sealer away"), errors.New("keys away")
	for name, watch := range map[string]func(*Config){"plain": func(*Config) {}, "observed": watched(new(notes))} {
		t.Run(name, func(t *testing.T) {
			ping := func(change ...func(*Config)) error {
				s := newService(t)
				return s.node(t, append(change, watch)...).Ping(t.Context())
			}
			require.NoError(t, ping())
			require.NoError(t, ping(func(c *Config) { c.Keys = nil }))

			// Parts without a Ping of their own.
			require.Equal(t, &observe.PingError{Store: away}, ping(func(c *Config) { c.Store = brokenStore{c.Store, away} }))
			require.Equal(t, &observe.PingError{Sealer: elsewhere}, ping(func(c *Config) { c.Sealer = brokenSealer{c.Sealer, elsewhere} }))
			err := ping(func(c *Config) { c.Sealer = wrongSealer{c.Sealer} })
			require.ErrorContains(t, err, "sealer: server: the sealer opens something else")
			require.ErrorIs(t, ping(func(c *Config) { c.Sealer = new(SoftwareSealer) }), protocol.ErrConfig)

			// Parts with one.
			asked := new(atomic.Int32)
			all := func(store, sealer, keys error) func(*Config) {
				return func(c *Config) {
					c.Store = pingableStore{brokenStore{c.Store, errors.New("not asked")}, pinger{store, asked}}
					c.Sealer = pingableSealer{wrongSealer{c.Sealer}, pinger{sealer, asked}}
					c.Keys = pingableKeys{c.Keys, pinger{keys, asked}}
				}
			}
			for _, want := range []*observe.PingError{
				{Store: away}, {Sealer: elsewhere}, {Keys: gone}, {Store: away, Sealer: elsewhere, Keys: gone},
			} {
				asked.Store(0)
				err := ping(all(want.Store, want.Sealer, want.Keys))
				require.EqualValues(t, 3, asked.Load(), "whatever the others say")
				require.Equal(t, want, err)
				for _, cause := range []error{want.Store, want.Sealer, want.Keys} {
					if cause != nil {
						require.ErrorIs(t, err, cause)
						require.ErrorContains(t, err, cause.Error())
					}
				}
			}
			require.NoError(t, ping(all(nil, nil, nil)))
		})
	}
}

// TestPingHeedsTheContext: the context goes to each part.
func TestPingHeedsTheContext(t *testing.T) {
	s := newService(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	bad, ok := errors.AsType[*observe.PingError](s.Ping(gone))
	require.True(t, ok)
	require.ErrorIs(t, bad.Store, context.Canceled)
}

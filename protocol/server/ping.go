package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// Ping asks the store, the sealer and the source of server keys, all at once, whether
// they answer. It returns nil, or an [*observe.PingError] that says which of them do not.
//
// Each is asked by its own Ping, if it is an [observe.Pinger]. Else the store is read,
// the sealer seals 32 random bytes and opens them, and the source is not asked. Ping ends
// when the last of them has answered: give ctx a deadline. It does not ask whether the
// audit sink takes events.
func (s *Server) Ping(ctx context.Context) error {
	if err := s.made(ctx); err != nil {
		return err
	}
	var e observe.PingError
	var parts sync.WaitGroup
	parts.Go(func() { e.Store = pingStore(ctx, s.config.Store) })
	parts.Go(func() { e.Sealer = pingSealer(ctx, s.config.Sealer) })
	parts.Go(func() { e.Keys = pingKeys(ctx, s.config.Keys) })
	parts.Wait()
	if e.Store == nil && e.Sealer == nil && e.Keys == nil {
		return nil
	}
	return &e
}

func (s observedStore) Ping(ctx context.Context) error  { return pingStore(ctx, s.Store) }
func (s observedSealer) Ping(ctx context.Context) error { return pingSealer(ctx, s.Sealer) }
func (k observedKeys) Ping(ctx context.Context) error   { return pingKeys(ctx, k.KeySource) }

func pingStore(ctx context.Context, store limiter.Store) error {
	if p, ok := store.(observe.Pinger); ok {
		return p.Ping(ctx)
	}
	_, _, err := store.Load(ctx, "ping") // nothing has this id
	if errors.Is(err, limiter.ErrNotFound) {
		return nil
	}
	return err
}

func pingSealer(ctx context.Context, sealer Sealer) error {
	if p, ok := sealer.(observe.Pinger); ok {
		return p.Ping(ctx)
	}
	text, aad := make([]byte, 32), []byte("tandem v2 ping")
	rand.Read(text)
	sealed, err := sealer.Seal(ctx, aad, text)
	if err != nil {
		return err
	}
	opened, err := sealer.Open(ctx, aad, sealed)
	if err == nil && !bytes.Equal(opened, text) {
		err = errors.New("server: the sealer opens something else than it sealed")
	}
	return err
}

func pingKeys(ctx context.Context, keys KeySource) error {
	if p, ok := keys.(observe.Pinger); ok {
		return p.Ping(ctx)
	}
	return nil
}

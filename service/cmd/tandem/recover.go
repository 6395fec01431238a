package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// recover charges every key of a store that went back, and accepts the store:
// docs/operating.md, "Restoring a backup".
func (s *storeRun) recover(ctx context.Context, c *call, r *storeResult) (err error) {
	b, err := openBackend(ctx, c, s.server, s.pin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	known := make(map[protocol.KeyID]server.Recovery)
	if !s.noAudit {
		if known, err = readAudit(b.path(auditFile)); err != nil {
			return err
		}
	}
	keeper, err := b.openMark()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keeper.Close()) }()
	store, err := b.engine.open(ctx, b.folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	recovery, err := s.begin(ctx, c, store, keeper)
	if err != nil {
		return err
	}
	audit, err := disk.OpenLog(b.path(auditFile), secretMode)
	if err != nil {
		return err
	}
	srv, shut, err := b.start(c, store, audit, audit.Close)
	if err != nil {
		return err
	}
	err = chargeAll(ctx, srv, store, recovery, known, r)
	if err = errors.Join(err, shut()); err != nil {
		return err
	}
	if err := b.replaceChallengeKey(ctx); err != nil {
		return err
	}
	return recovery.Finish(ctx, store)
}

// begin begins or resumes a recovery, if the store went back or a person says so.
func (s *storeRun) begin(ctx context.Context, c *call, store limiter.Store, keeper watermark.Keeper) (*watermark.Recovery, error) {
	err := watermark.Check(ctx, store, keeper)
	switch {
	case errors.Is(err, watermark.ErrWentBack):
	case !s.restored && err == nil:
		return nil, failf("sound", "if it was restored all the same, give -restored", "the store fits its mark; a recovery would charge every key a round of wrong PINs")
	case !s.restored && errors.Is(err, watermark.ErrNoMark):
		return nil, failf("went_back", "give -restored", "%w: nobody knows how far the store had come", err)
	case errors.Is(err, watermark.ErrNoMark):
		if err := watermark.Create(ctx, store, keeper); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	return watermark.BeginRecovery(ctx, keeper, c.clock())
}

// chargeAll charges each key.
func chargeAll(ctx context.Context, srv *server.Server, store limiter.Lister, recovery *watermark.Recovery, known map[protocol.KeyID]server.Recovery, r *storeResult) error {
	r.Keys, r.Dead = new(int), new(int)
	for id, err := range limiter.IDs(ctx, store, "key/") {
		if err != nil {
			return err
		}
		key, ok := server.KeyOfRecord(id)
		if !ok {
			continue
		}
		k, ok := known[key]
		if !ok {
			k.TriesLeft = -1
		}
		k.Began = recovery.Began()
		if err := srv.Recover(ctx, key, k); err != nil {
			return fmt.Errorf("key %v: %w", key, err)
		}
		status, err := srv.Status(ctx, key)
		if err != nil {
			return fmt.Errorf("key %v: %w", key, err)
		}
		*r.Keys++
		if status.Condition == server.Destroyed {
			*r.Dead++
		}
	}
	return nil
}

// newChallengeKey replaces the challenge key of a server whose store is left as it is.
func (s *storeRun) newChallengeKey(ctx context.Context, c *call) error {
	b, err := openBackend(ctx, c, s.server, s.pin)
	if err != nil {
		return err
	}
	return errors.Join(b.replaceChallengeKey(ctx), b.close())
}

// replaceChallengeKey voids every challenge: an enrolment that was recorded before could
// be sent again to a store that has lost it.
func (b *backend) replaceChallengeKey(ctx context.Context) error {
	seed, err := b.private.Bytes()
	if err != nil {
		return err
	}
	plain := make([]byte, challengeKeySize, challengeKeySize+len(seed))
	defer clear(plain[:cap(plain)])
	rand.Read(plain)
	sealed, err := b.vault.sealer.Seal(ctx, []byte(keysAAD), append(plain, seed...))
	if err != nil {
		return err
	}
	return disk.Replace(b.path(keysFile), sealed, secretMode)
}

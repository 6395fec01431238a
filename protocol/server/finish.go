package server

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// finish makes the signatures of a right request, new or repeated, after it was counted
// (18). Whatever fails now costs no attempt: the device sends the same bytes again.
func (t *trial) finish(ctx context.Context, a *wire.Answer) *wire.Answer {
	s := t.server
	signatures := make([][]byte, len(t.checked))
	for i, c := range t.checked {
		var err error
		began := time.Now()
		signatures[i], err = t.completer.Finish(ctx, c)
		if o := s.config.Observer; o != nil {
			called(o, observe.Keys, "finish", began, err)
		}
		if err != nil {
			return s.later(ctx, t.id, err)
		}
	}
	if t.request.Op == protocol.OpSign && s.config.Signed != nil {
		if err := s.config.Signed(ctx, t.signed(signatures)); err != nil {
			return s.later(ctx, t.id, fmt.Errorf("server: the service did not take the signatures: %w", err))
		}
	}
	a.Signatures = signatures
	return a
}

// signed is what the service gets: copies, which it may keep.
func (t *trial) signed(signatures [][]byte) Signed {
	r := t.request
	return Signed{
		KeyID: t.id, Challenge: bytes.Clone(r.Challenge.Raw[:]), Expires: time.UnixMilli(r.Challenge.Expires).UTC(),
		Digests: cloneAll(r.Messages.Digests), Options: r.Messages.Options(),
		Signatures: cloneAll(signatures), PublicKey: t.completer.PublicKey(),
	}
}

func cloneAll(all [][]byte) [][]byte {
	copies := make([][]byte, len(all))
	for i, b := range all {
		copies[i] = bytes.Clone(b)
	}
	return copies
}

package testidentities

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/service/rp"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

// watched is an engine whose sessions the test persons learn of.
type watched struct {
	identities *Identities
	engine     rphttp.Engine
}

// Watch returns an engine for the relying-party API that is the given one, and wakes the
// phones of test persons.
func (t *Identities) Watch(engine rphttp.Engine) rphttp.Engine { return watched{t, engine} }

func (w watched) Begin(ctx context.Context, r rp.Request, source rp.Source) (rp.Session, error) {
	s, err := w.engine.Begin(ctx, r, source)
	if err != nil || r.Flow == rp.DeviceLink || w.identities == nil {
		return s, err
	}
	for _, p := range w.identities.phones {
		d := p.account.Document
		if r.Target.Person != nil && *r.Target.Person == d.ID || r.Target.Document != nil && *r.Target.Document == d {
			w.identities.wake(p, s.ID, code(r, s))
		}
	}
	return s, nil
}

func (w watched) Certificate(ctx context.Context, r rp.Request, source rp.Source) (rp.Outcome, error) {
	return w.engine.Certificate(ctx, r, source)
}

func (w watched) Status(ctx context.Context, id string, wait time.Duration, source rp.Source) (rp.Status, error) {
	return w.engine.Status(ctx, id, wait, source)
}

// code is the verification code that the relying party shows.
func code(r rp.Request, s rp.Session) string {
	switch {
	case s.Code != "":
		return s.Code
	case r.Version != rp.V3:
		return protocol.VerificationCode(r.Digest)
	}
	challenge, err := base64.StdEncoding.DecodeString(r.Challenge)
	if err != nil {
		return "" // a request that was parsed has base64
	}
	return protocol.VerificationCode(challenge)
}

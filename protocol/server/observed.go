package server

import (
	"context"
	"errors"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
	"github.com/tandem-rsa/tandem/splitkey"
)

// observe puts the observer around what the server calls. Without one nothing is there.
func (c *Config) observe() {
	o := c.Observer
	if o == nil {
		return
	}
	c.Store, c.Sealer, c.Audit = observedStore{c.Store, o}, observedSealer{c.Sealer, o}, observedAudit{c.Audit, o}
	if c.Keys != nil {
		c.Keys = observedKeys{c.Keys, o}
	}
}

// watch is what one call of Handle did.
type watch struct {
	operation protocol.Operation // 0 until it is known
	code      wire.Code          // 0 until there is an answer
}

func (w watch) handled(err error, took time.Duration) observe.Handled {
	h := observe.Handled{Operation: w.operation, Outcome: outcomes[w.code], Took: took}
	if err != nil {
		h.Outcome, h.Cause = "refused", causeOf(err)
	}
	return h
}

var outcomes = [...]string{
	wire.CodeEnrolled: "enrolled", wire.CodeKeyRefused: "key refused", wire.CodeRight: "right", wire.CodeWrong: "wrong PIN",
	wire.CodeLocked: "locked", wire.CodeDestroyed: "destroyed", wire.CodeExpired: "expired", wire.CodeCancelled: "cancelled",
	wire.CodeUnconfirmed: "unconfirmed", wire.CodeRejected: "rejected", wire.CodeLater: "later", wire.CodeSuperseded: "superseded",
}

// causeOf puts the cause of a refusal into one of a few words.
func causeOf(err error) string {
	switch {
	case errors.Is(err, errHardware):
		return "hardware"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "gone"
	case errors.Is(err, errInternal):
		return "failure"
	case errors.Is(err, ErrUnknownKey):
		return "unknown key"
	case errors.Is(err, wire.ErrHPKE):
		return "HPKE"
	case errors.Is(err, errChallenge):
		return "challenge"
	case errors.Is(err, errMAC):
		return "MAC"
	case errors.Is(err, protocol.ErrMalformed):
		return "malformed"
	}
	return "failure"
}

// happened tells the observer what an event says, if there is one, once the record that
// holds it is durable.
func (s *Server) happened(e event, r *record) {
	o := s.config.Observer
	if o == nil || e.kind == 0 {
		return
	}
	for _, told := range e.tell(protocol.KeyID{}, 0, r) {
		f := observe.Fact{Kind: told.Kind, Documents: int(e.documents)}
		if told.Kind == eventDestroyed {
			f.Reason = e.reason
		}
		o.Happened(f)
	}
}

// called tells an observer of a call that began at a time.
func called(o observe.Observer, part observe.Part, name string, began time.Time, err error) {
	result := "ok"
	switch {
	case part == observe.Store && errors.Is(err, limiter.ErrNotFound):
		result = "not found"
	case part == observe.Store && errors.Is(err, limiter.ErrConflict):
		result = "conflict"
	case err != nil:
		result = "failed"
	}
	o.Called(observe.Call{Part: part, Name: name, Result: result, Took: time.Since(began)})
}

type observedStore struct {
	limiter.Store
	o observe.Observer
}

func (s observedStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	began := time.Now()
	value, version, err := s.Store.Load(ctx, id)
	called(s.o, observe.Store, "load", began, err)
	return value, version, err
}

func (s observedStore) Create(ctx context.Context, id string, value []byte) error {
	began := time.Now()
	err := s.Store.Create(ctx, id, value)
	called(s.o, observe.Store, "create", began, err)
	return err
}

func (s observedStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	began := time.Now()
	err := s.Store.Swap(ctx, id, version, value)
	called(s.o, observe.Store, "swap", began, err)
	return err
}

type observedSealer struct {
	Sealer
	o observe.Observer
}

func (s observedSealer) Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error) {
	began := time.Now()
	sealed, err := s.Sealer.Seal(ctx, aad, plaintext)
	called(s.o, observe.Sealer, "seal", began, err)
	return sealed, err
}

func (s observedSealer) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	began := time.Now()
	plaintext, err := s.Sealer.Open(ctx, aad, sealed)
	called(s.o, observe.Sealer, "open", began, err)
	return plaintext, err
}

type observedKeys struct {
	KeySource
	o observe.Observer
}

func (k observedKeys) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	began := time.Now()
	key, blob, err := k.KeySource.NewKey(ctx)
	called(k.o, observe.Keys, "new", began, err)
	return key, blob, err
}

func (k observedKeys) LoadKey(ctx context.Context, blob []byte) (splitkey.RSAKey, error) {
	began := time.Now()
	key, err := k.KeySource.LoadKey(ctx, blob)
	called(k.o, observe.Keys, "find", began, err)
	return key, err
}

type observedAudit struct {
	AuditSink
	o observe.Observer
}

func (a observedAudit) Record(ctx context.Context, e Event) error {
	began := time.Now()
	err := a.AuditSink.Record(ctx, e)
	called(a.o, observe.Audit, "record", began, err)
	return err
}

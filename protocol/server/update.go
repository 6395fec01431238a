package server

import (
	"context"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
)

// load returns a record.
func (s *Server) load(ctx context.Context, id protocol.KeyID) (*record, error) {
	value, _, err := s.config.Store.Load(ctx, recordID(id))
	if err != nil {
		return nil, err
	}
	return parseRecord(value)
}

// update changes one record by one conditional write. decide weighs the record, and
// changes it; it is called again if another write came first. What happened is delivered
// once it is durable, and so is what a crash has left.
func (s *Server) update(ctx context.Context, id protocol.KeyID, decide func(*record) (decision, error)) (decision, error) {
	var d decision
	var stored *record // what the store has, once limiter.Update returned no error
	err := limiter.Update(ctx, s.config.Store, recordID(id), func(value []byte) ([]byte, error) {
		rec, err := parseRecord(value)
		if err != nil {
			return nil, err
		}
		stored = rec
		if d, err = decide(rec); err != nil || !d.write {
			return nil, err
		}
		if d.event.kind != 0 {
			if err := s.note(ctx, id, rec, d.event); err != nil {
				return nil, err
			}
		}
		return rec.encode()
	})
	if err != nil {
		return decision{}, err
	}
	s.happened(d.event, stored)
	_ = s.deliver(ctx, id, stored) // what fails is logged, and delivered later
	return d, nil
}

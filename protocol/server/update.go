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

// weigher looks at a record, decides, and changes the record if it says so. It is called
// again, with another record, if another write came first.
type weigher func(ctx context.Context, rec *record) (decision, error)

// update changes one record by one conditional write. What happened is delivered once it
// is durable (18), and so is what a crash has left.
func (s *Server) update(ctx context.Context, id protocol.KeyID, weigh weigher) (d decision, err error) {
	err = limiter.Update(ctx, s.config.Store, recordID(id), func(value []byte) (next []byte, err error) {
		next, d, err = s.change(ctx, id, value, weigh)
		return next, err
	})
	if err != nil {
		return decision{}, err
	}
	s.happened(d.event, d.record)
	_ = s.deliver(ctx, id, d.record) // what fails is logged, and delivered later
	return d, nil
}

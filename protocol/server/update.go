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

// update changes one record by one conditional write. What happened enters the record
// with it, and is delivered once that is durable (18). What an earlier write or a crash
// has left is delivered before, so that the record need not keep it any longer.
func (s *Server) update(ctx context.Context, id protocol.KeyID, weigh weigher) (d decision, err error) {
	err = limiter.Update(ctx, s.config.Store, recordID(id), func(value []byte) ([]byte, error) {
		rec, err := parseRecord(value) // 4
		if err != nil {
			return nil, err
		}
		d, err = weigh(ctx, rec)
		d.record = rec
		if err != nil || !d.write {
			return nil, err
		}
		if d.event.kind != 0 {
			if s.deliver(ctx, id, rec) == nil {
				rec.events = nil
			}
			if err := rec.note(d.event); err != nil { // 17
				return nil, err
			}
		}
		return rec.encode()
	})
	if err != nil {
		return decision{}, err
	}
	s.happened(d.event, d.record)
	_ = s.deliver(ctx, id, d.record) // what fails is logged, and delivered later
	return d, nil
}

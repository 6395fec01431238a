package bolt

import (
	"bytes"
	"context"
	"strings"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// List implements [limiter.Lister]. While it reads, freed pages of the file are not used
// again, as for every reader: a limit of some thousands of ids is small enough.
func (s *Store) List(ctx context.Context, prefix, after string, limit int) (ids []string, err error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := limiter.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	err = s.view(ctx, func(snap *snapshot) error {
		ids, err = snap.list(ctx, prefix, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func (s *snapshot) list(ctx context.Context, prefix, after string, limit int) (ids []string, err error) {
	from := recordKey(max(prefix, after))
	seen, ended := 0, false
	err = s.walk(from, func(key []byte, _ record) (bool, error) {
		seen++
		order := bytes.Compare(key, from)
		if (seen == 1) != (order <= 0) {
			return false, damaged("a record is missing, or out of order")
		}
		if bytes.Equal(key, upperEnd) {
			ended = true
			return false, nil
		}
		if order < 0 {
			return true, nil
		}
		id := string(key[1:])
		if !strings.HasPrefix(id, prefix) {
			ended = order > 0
			return order == 0, nil
		}
		if id > after {
			ids = append(ids, id)
		}
		ended = len(ids) == limit
		return !ended, ctx.Err()
	})
	if err == nil && !ended {
		err = damaged("the last record is missing")
	}
	return ids, err
}

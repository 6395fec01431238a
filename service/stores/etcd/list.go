package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// longestPage bounds what one answer of a member holds.
const longestPage = 10_000

// List implements [limiter.Lister].
func (s *Store) List(ctx context.Context, prefix, after string, limit int) (ids []string, err error) {
	if err := s.ready(ctx, reading); err != nil {
		return nil, err
	}
	if err := limiter.CheckList(prefix, after, limit); err != nil {
		return nil, err
	}
	from, end := s.recordKey(prefix), clientv3.GetPrefixRangeEnd(s.recordKey(prefix))
	if after >= prefix && after != "" {
		from = s.recordKey(after) + "\x00" // the next key that there can be
	}
	if from >= end {
		return nil, nil
	}
	page, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(int64(min(limit, longestPage))))
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", known(err))
	}
	skip := len(s.recordKey(""))
	for _, kv := range page.Kvs { // by key, as etcd keeps them
		ids = append(ids, string(kv.Key[skip:]))
	}
	return ids, nil
}

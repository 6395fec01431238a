package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// use is what a call does with the cluster.
type use int

const (
	reading use = iota
	writing
)

// state is what the cluster says of itself.
type state struct {
	full, corrupt bool
	size, quota   int64 // of the member that has the least room
}

// refuses returns why calls of a kind are refused, or nil.
func (s state) refuses(what use) error {
	switch {
	case s.corrupt:
		return ErrCorrupt
	case what == reading:
		return nil
	case s.full:
		return ErrFull
	case s.nearlyFull():
		return fmt.Errorf("%w: a member has %d bytes of %d", ErrNearlyFull, s.size, s.quota)
	}
	return nil
}

// nearlyFull leaves a tenth: etcd counts what a transaction may take before it takes it.
func (s state) nearlyFull() bool { return s.size > s.quota/10*9 }

// watch looks at the state now and then.
func (s *Store) watch(life context.Context) {
	defer close(s.stopped)
	ticker := time.NewTicker(s.options.Every)
	defer ticker.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(life, keepaliveTime)
		_ = s.look(ctx) // what cannot be asked cannot be written to either
		cancel()
	}
}

// look asks the cluster for its alarms and every member for its size. A member that does
// not answer is left out, if another one does.
func (s *Store) look(ctx context.Context) error {
	alarms, err := s.client.AlarmList(ctx)
	if err != nil {
		return fmt.Errorf("etcd: %w", known(err))
	}
	var now state
	for _, a := range (*clientv3.AlarmResponse)(alarms).Alarms {
		now.full = now.full || a.Alarm == etcdserverpb.AlarmType_NOSPACE
		now.corrupt = now.corrupt || a.Alarm == etcdserverpb.AlarmType_CORRUPT
	}
	if err := s.sizes(ctx, &now); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = now
	return nil
}

// sizes finds the member that has the least room.
func (s *Store) sizes(ctx context.Context, now *state) error {
	type answer struct {
		status *clientv3.StatusResponse
		err    error
	}
	answers := make(chan answer, len(s.options.Endpoints))
	for _, endpoint := range s.options.Endpoints {
		go func() {
			ctx, cancel := context.WithTimeout(ctx, keepaliveTime)
			defer cancel()
			status, err := s.client.Status(ctx, endpoint)
			answers <- answer{status, err}
		}()
	}
	var failed error
	for range s.options.Endpoints {
		a := <-answers
		if a.err != nil {
			failed = errors.Join(failed, a.err)
			continue
		}
		quota := a.status.DbSizeQuota
		if quota <= 0 {
			quota = s.options.Quota
		}
		if now.quota == 0 || float64(a.status.DbSize)/float64(quota) > float64(now.size)/float64(now.quota) {
			now.size, now.quota = a.status.DbSize, quota
		}
	}
	if now.quota == 0 {
		return fmt.Errorf("etcd: %w", failed)
	}
	return nil
}

//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/protocol/server"
)

// measured is what a replay took.
type measured struct {
	rate      float64         // signatures a second
	processor time.Duration   // of the process, for each
	took      []time.Duration // of each, from when it was due; sorted
}

func (m *measured) quantile(q float64) time.Duration {
	return m.took[int(q*float64(len(m.took)-1))].Round(10 * time.Microsecond)
}

// replay sends the recording to a server whose store is as it was: all clients at once,
// or, with a rate, at times that are drawn, so many in a second. A request waits for the
// one before it of the same client.
func (r *recording) replay(rate float64) (*measured, error) {
	ctx, store := context.Background(), new(storetest.MemoryStore)
	for id, value := range r.values {
		if err := store.Create(ctx, id, value); err != nil {
			return nil, err
		}
	}
	var signed atomic.Int64
	config := r.config
	config.Store, config.Signed = store, func(context.Context, server.Signed) error { signed.Add(1); return nil }
	s, err := server.New(config)
	if err != nil {
		return nil, err
	}
	runtime.GC()
	m := new(measured)
	var mu sync.Mutex
	var clients sync.WaitGroup
	spent, began := processorTime(), time.Now()
	for i, requests := range r.requests {
		clients.Go(func() {
			draw, due := rand.New(rand.NewPCG(1, uint64(i))), began
			for _, request := range requests {
				if rate > 0 {
					pause := draw.ExpFloat64() * float64(len(r.requests)) / rate
					due = due.Add(time.Duration(pause * float64(time.Second)))
					time.Sleep(time.Until(due))
				} else {
					due = time.Now()
				}
				_, _ = s.Handle(ctx, request)
				mu.Lock()
				m.took = append(m.took, time.Since(due))
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	n := len(m.took)
	if int(signed.Load()) != n || n == 0 {
		return nil, fmt.Errorf("%d of %d requests were answered with a signature", signed.Load(), n)
	}
	m.rate = float64(n) / time.Since(began).Seconds()
	m.processor = (processorTime() - spent) / time.Duration(n)
	slices.Sort(m.took)
	return m, nil
}

// processorTime is what the process has spent on processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

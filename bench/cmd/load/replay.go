//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

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
	ctx := context.Background()
	var signed atomic.Int64
	config := r.config
	config.Store, config.Signed = r.store.copy(), func(context.Context, server.Signed) error { signed.Add(1); return nil }
	s, err := server.New(config)
	if err != nil {
		return nil, err
	}
	runtime.GC()
	m := new(measured)
	var mu sync.Mutex
	var clients sync.WaitGroup
	spent, began := processorTime(), time.Now()
	for _, requests := range r.requests {
		clients.Go(func() {
			due := began
			for _, request := range requests {
				if rate > 0 {
					pause := exponential() * float64(len(r.requests)) / rate
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

// exponential draws from the exponential distribution with mean 1.
func exponential() float64 {
	u := binary.BigEndian.Uint64(random(8))>>11 + 1
	return -math.Log(float64(u) / (1 << 53))
}

// processorTime is what the process has spent on processors.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

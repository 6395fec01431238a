package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// heap stands for what a service has in memory. Without it the garbage collector would
// run whenever 4 MB were allocated, every 10 ms here, and its beginnings and ends would
// take time of the cores, as in no service.
var heap = make([]byte, 64<<20)

// cores are partial signatures and completions on one core and on two: time on the clock
// for each of them.
func cores() (field, error) {
	t, err := newTandem(2048, true)
	if err != nil {
		return nil, err
	}
	y, err := t.client.SignPartial(t.message)
	if err != nil {
		return nil, err
	}
	complete := func() error {
		_, err := t.complete(context.Background(), t.message, y)
		return err
	}
	var f field
	for _, w := range []struct {
		task string
		work func() error
	}{{"partials", t.partial}, {"completions", complete}} {
		for n := 1; n <= 2; n++ {
			f = append(f, &contender{task: w.task, bits: 4096, name: fmt.Sprint(n), wall: true, run: onCores(n, w.work)})
		}
	}
	return f, nil
}

// onCores repeats the work in n goroutines at once, count times in all rounded up to a
// multiple of n. The process has no other core meanwhile: the garbage collector would
// work for one goroutine on a second core.
func onCores(n int, work func() error) func(int) (time.Duration, int64, error) {
	return func(count int) (time.Duration, int64, error) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n))
		each := (count + n - 1) / n
		errs := make([]error, n)
		var wg sync.WaitGroup
		began := time.Now()
		for i := range n {
			wg.Go(func() {
				for range each {
					if errs[i] = work(); errs[i] != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		took := time.Since(began)
		runtime.KeepAlive(heap)
		for _, err := range errs {
			if err != nil {
				return 0, 0, err
			}
		}
		return took * time.Duration(count) / time.Duration(n*each), -1, nil
	}
}

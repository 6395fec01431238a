// Package lineartest records what concurrent attempts on a store are answered, and has
// porcupine (github.com/anishathalye/porcupine) decide whether some order of them, one
// after the other, explains every answer: whether the store is linearizable, as
// limiter.Store must be.
//
// In each history several callers on two nodes try right and wrong PINs on several keys
// at once, and look at counters, under a clock that lets locks expire. Now and then the
// result of a write is lost, as with its connection: it may then have happened or not.
package lineartest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

const (
	nodes   = 2
	keys    = 3
	callers = 6
	calls   = 10 // of each caller
)

var policy = limiter.Policy{
	{Tries: triesARound, Lock: firstLock * time.Millisecond},
	{Tries: triesARound, Lock: secondLock * time.Millisecond},
	{Tries: triesARound, Lock: limiter.Forever},
}

// Figures are what histories held.
type Figures struct {
	Histories, Calls, Wrong, Right, Locked, Destroyed, Unknown, Conflicts int
}

// Run records histories on a database, and fails for one that no order explains. A run in
// which some kind of answer is missing would show nothing of it, so there are more
// histories until each was given.
func Run(t *testing.T, histories int, db storetest.Database) Figures {
	t.Helper()
	f, err := run(histories, db)
	require.NoError(t, err)
	require.Empty(t, f.missing(), "in %d histories", f.Histories)
	return f
}

// spare is how many histories may be added. One in two has a key that is destroyed, which
// is the rarest of what each run must have.
const spare = 200

// missing names what did not happen.
func (f Figures) missing() (names []string) {
	for _, kind := range []struct {
		name string
		n    int
	}{
		{"wrong PINs", f.Wrong}, {"right PINs", f.Right}, {"locks", f.Locked}, {"destroyed keys", f.Destroyed},
		{"unknown results", f.Unknown}, {"conflicts", f.Conflicts},
	} {
		if kind.n == 0 {
			names = append(names, kind.name)
		}
	}
	return names
}

func run(histories int, db storetest.Database) (Figures, error) {
	var f Figures
	stores := []limiter.Store{db.Open()}
	for len(stores) < nodes {
		if db.Single {
			stores = append(stores, stores[0])
		} else {
			stores = append(stores, db.Open())
		}
	}
	for n := 0; n < histories || n < histories+spare && len(f.missing()) > 0; n++ {
		history, err := record(stores, fmt.Sprintf("history %d/", n), &f)
		if err != nil {
			return f, err
		}
		if result, info := porcupine.CheckOperationsVerbose(model, history, time.Minute); result != porcupine.Ok {
			return f, fmt.Errorf("history %d is not linearizable (%s): %v", n, result, describe(history, info))
		}
		f.Histories++
	}
	return f, nil
}

// describe lists the calls of the keys that no order explains.
func describe(history []porcupine.Operation, _ porcupine.LinearizationInfo) (text string) {
	for _, key := range model.Partition(history) {
		if porcupine.CheckOperations(model, key) {
			continue
		}
		for _, op := range key {
			text += fmt.Sprintf("\n%d-%d caller %d %s", op.Call, op.Return, op.ClientId, model.DescribeOperation(op.Input, op.Output))
		}
	}
	return text
}

// record has all callers make their calls, and returns what they were answered.
func record(stores []limiter.Store, prefix string, f *Figures) ([]porcupine.Operation, error) {
	ctx := context.Background()
	first, err := limiter.Counter{}.MarshalBinary()
	if err != nil {
		return nil, err
	}
	for k := range keys {
		if err := stores[k%nodes].Create(ctx, fmt.Sprint(prefix, k), first); err != nil {
			return nil, err
		}
	}
	var (
		clock   atomic.Int64 // of the policy, in milliseconds
		moment  atomic.Int64 // of the history: each event has its own
		mu      sync.Mutex
		history []porcupine.Operation
		wg      sync.WaitGroup
		errs    = make([]error, callers)
	)
	clock.Store(1_000_000)
	for c := range callers {
		node := &lossy{Store: stores[c%nodes]}
		wg.Go(func() {
			for range calls {
				in := call{key: fmt.Sprint(prefix, rand.IntN(keys)), right: rand.IntN(5) == 0, peek: rand.IntN(6) == 0}
				if rand.IntN(2) == 0 {
					clock.Add(rand.Int64N(16))
				}
				begin := moment.Add(1)
				in.now = clock.Load()
				out, err := ask(ctx, node, in)
				end := moment.Add(1)
				if err != nil {
					errs[c] = err
					return
				}
				if out.kind == unknown {
					end = 1 << 62 // it may happen at any time
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: c, Input: in, Call: begin, Output: out, Return: end})
				f.count(out.kind)
				mu.Unlock()
			}
			mu.Lock()
			f.Conflicts += node.conflicts
			mu.Unlock()
		})
	}
	wg.Wait()
	return history, errors.Join(errs...)
}

func (f *Figures) count(k kind) {
	f.Calls++
	switch k {
	case wrong:
		f.Wrong++
	case accepted:
		f.Right++
	case locked:
		f.Locked++
	case destroyed:
		f.Destroyed++
	case unknown:
		f.Unknown++
	}
}

// errLost is the error of a write whose result is lost.
var errLost = errors.New("lost")

// lossy is a handle that loses the results of some writes, which happened or not.
type lossy struct {
	limiter.Store
	conflicts int
}

func (l *lossy) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	const often = 40
	if rand.IntN(often) == 0 {
		return errLost
	}
	err := l.Store.Swap(ctx, id, version, value)
	if errors.Is(err, limiter.ErrConflict) {
		l.conflicts++
	}
	if err == nil && rand.IntN(often) == 0 {
		err = errLost
	}
	return err
}

// ask makes one call, as a service does.
func ask(ctx context.Context, s limiter.Store, in call) (verdict, error) {
	now := time.UnixMilli(in.now)
	if in.peek {
		return peek(ctx, s, in.key, now)
	}
	outcome := limiter.Wrong
	if in.right {
		outcome = limiter.Right
	}
	var told error
	err := limiter.Update(ctx, s, in.key, func(value []byte) ([]byte, error) {
		c, err := limiter.ParseCounter(value)
		if err != nil {
			return nil, err
		}
		after, err := policy.Next(c, outcome, now)
		if !limiter.IsVerdict(err) {
			return nil, err
		}
		told = err
		if after == c {
			return nil, nil
		}
		return after.MarshalBinary()
	})
	if errors.Is(err, errLost) {
		return verdict{kind: unknown}, nil
	}
	if err != nil {
		return verdict{}, err
	}
	return verdictOf(told), nil
}

func verdictOf(err error) verdict {
	var w *limiter.WrongPINError
	var l *limiter.LockedError
	switch {
	case err == nil:
		return verdict{kind: accepted}
	case errors.As(err, &w):
		v := verdict{kind: wrong, left: w.RemainingTotal}
		if !w.LockedUntil.IsZero() {
			v.until = w.LockedUntil.UnixMilli()
		}
		return v
	case errors.As(err, &l):
		return verdict{kind: locked, until: l.Until.UnixMilli()}
	}
	return verdict{kind: destroyed}
}

func peek(ctx context.Context, s limiter.Store, key string, now time.Time) (verdict, error) {
	value, _, err := s.Load(ctx, key)
	if err != nil {
		return verdict{}, err
	}
	c, err := limiter.ParseCounter(value)
	if err != nil {
		return verdict{}, err
	}
	status, err := policy.Peek(c, now)
	switch {
	case err != nil:
		return verdict{}, err
	case status.Destroyed:
		return verdict{kind: destroyed}, nil
	case !status.LockedUntil.IsZero():
		return verdict{kind: locked, left: status.RemainingTotal, until: status.LockedUntil.UnixMilli()}, nil
	}
	return verdict{kind: free, left: status.RemainingTotal}, nil
}

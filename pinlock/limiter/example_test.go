package limiter_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

func ExamplePolicy_Next() {
	policy := limiter.DefaultPolicy()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	var counter limiter.Counter // a new key's
	for _, outcome := range []limiter.Outcome{limiter.Wrong, limiter.Right, limiter.Wrong, limiter.Wrong, limiter.Wrong, limiter.Right} {
		var verdict error
		counter, verdict = policy.Next(counter, outcome, now)
		// Write counter durably here, before anybody learns the verdict.
		fmt.Println(verdict)
	}
	// Output:
	// limiter: wrong PIN, 2 tries remain until the next lock, 8 in all
	// <nil>
	// limiter: wrong PIN, 2 tries remain until the next lock, 8 in all
	// limiter: wrong PIN, 1 try remains until the next lock, 7 in all
	// limiter: wrong PIN, key is locked until 2026-03-01T15:00:00Z, then 6 tries remain
	// limiter: key is locked until 2026-03-01T15:00:00Z
}

func ExampleLimiter_Attempt() {
	ctx := context.Background()
	// In earnest: a durable store, such as that of package service/stores/bolt.
	l, err := limiter.New(new(storetest.MemoryStore), limiter.DefaultPolicy())
	if err != nil {
		panic(err)
	}
	if err := l.Create(ctx, "key 7"); err != nil { // at enrolment
		panic(err)
	}

	// With a split key the PIN is tried by completing the device's partial signature.
	try := func(context.Context) (limiter.Outcome, error) { return limiter.Wrong, nil }
	for range 4 {
		err := l.Attempt(ctx, "key 7", try)
		var wrong *limiter.WrongPINError
		var locked *limiter.LockedError
		switch {
		case err == nil:
			fmt.Println("right")
		case errors.Is(err, limiter.ErrDestroyed):
			fmt.Println("the key is gone")
		case errors.As(err, &locked):
			fmt.Println("locked, come back in", time.Until(locked.Until).Round(time.Minute))
		case errors.As(err, &wrong):
			fmt.Println("wrong,", wrong.Remaining, "more until the lock,", wrong.RemainingTotal, "in all")
		default:
			fmt.Println("try again later") // says nothing about the PIN
		}
	}
	// Output:
	// wrong, 2 more until the lock, 8 in all
	// wrong, 1 more until the lock, 7 in all
	// wrong, 0 more until the lock, 6 in all
	// locked, come back in 3h0m0s
}

// A record that holds more than the counter is changed by one conditional write, too.
func ExampleUpdate() {
	ctx := context.Background()
	store := new(storetest.MemoryStore)
	counter, err := limiter.Counter{}.MarshalBinary()
	if err != nil {
		panic(err)
	}
	if err := store.Create(ctx, "key 7", append(counter, "owner: alice"...)); err != nil {
		panic(err)
	}

	policy := limiter.DefaultPolicy()
	outcome := limiter.Wrong // learnt once, before; the closure may run more than once
	var verdict error        // of the last run
	err = limiter.Update(ctx, store, "key 7", func(value []byte) (next []byte, err error) {
		counter, err := limiter.ParseCounter(value[:limiter.CounterSize])
		if err != nil {
			return nil, err
		}
		if counter, verdict = policy.Next(counter, outcome, time.Now()); !limiter.IsVerdict(verdict) {
			return nil, verdict
		}
		next, err = counter.MarshalBinary()
		return append(next, value[limiter.CounterSize:]...), err
	})
	if err != nil {
		panic(err) // and the verdict stays unsaid
	}
	fmt.Println(verdict)
	value, version, err := store.Load(ctx, "key 7")
	fmt.Println(string(value[limiter.CounterSize:]), version, err)
	// Output:
	// limiter: wrong PIN, 2 tries remain until the next lock, 8 in all
	// owner: alice 2 <nil>
}

// A counter is 18 bytes, and nothing else is read as one.
func ExampleParseCounter() {
	b, err := limiter.Counter{}.MarshalBinary()
	if err != nil {
		panic(err)
	}
	counter, err := limiter.ParseCounter(b)
	fmt.Println(len(b), counter.Destroyed(), err)
	_, err = limiter.ParseCounter(nil)
	fmt.Println(errors.Is(err, limiter.ErrCounter))
	// Output:
	// 18 false <nil>
	// true
}

package pinlock_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
)

func ExamplePolicy_Next() {
	policy := pinlock.DefaultPolicy()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

	var state pinlock.State // a new key's
	for _, outcome := range []pinlock.Outcome{pinlock.Wrong, pinlock.Right, pinlock.Wrong, pinlock.Wrong, pinlock.Wrong, pinlock.Right} {
		var verdict error
		state, verdict = policy.Next(state, outcome, now)
		// Write state durably here, before anybody learns the verdict.
		fmt.Println(verdict)
	}
	// Output:
	// pinlock: wrong PIN, 2 tries remain until the next lock, 8 in all
	// <nil>
	// pinlock: wrong PIN, 2 tries remain until the next lock, 8 in all
	// pinlock: wrong PIN, 1 try remains until the next lock, 7 in all
	// pinlock: wrong PIN, key is locked until 2026-03-01T15:00:00Z, then 6 tries remain
	// pinlock: key is locked until 2026-03-01T15:00:00Z
}

func ExampleLimiter_Attempt() {
	ctx := context.Background()
	// In earnest: a durable store, such as that of package service/stores/bolt.
	limiter, err := pinlock.NewLimiter(pinlock.NewMemoryStore(), pinlock.DefaultPolicy())
	if err != nil {
		panic(err)
	}
	if err := limiter.Create(ctx, "key 7"); err != nil { // at enrolment
		panic(err)
	}

	// With a split key the PIN is tried by completing the device's partial signature.
	try := func(context.Context) (pinlock.Outcome, error) { return pinlock.Wrong, nil }
	for range 4 {
		err := limiter.Attempt(ctx, "key 7", try)
		var wrong *pinlock.WrongPINError
		var locked *pinlock.LockedError
		switch {
		case err == nil:
			fmt.Println("right")
		case errors.Is(err, pinlock.ErrDestroyed):
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
	store := pinlock.NewMemoryStore()
	counter, err := pinlock.State{}.MarshalBinary()
	if err != nil {
		panic(err)
	}
	if err := store.Create(ctx, "key 7", append(counter, "owner: alice"...)); err != nil {
		panic(err)
	}

	policy := pinlock.DefaultPolicy()
	outcome := pinlock.Wrong // learnt once, before; the closure may run more than once
	verdict, err := pinlock.Update(ctx, store, "key 7", func(value []byte) ([]byte, error, error) {
		state, err := pinlock.ParseState(value[:pinlock.StateSize])
		if err != nil {
			return nil, nil, err
		}
		next, verdict := policy.Next(state, outcome, time.Now())
		if !pinlock.IsVerdict(verdict) {
			return nil, nil, verdict
		}
		b, err := next.MarshalBinary()
		return append(b, value[pinlock.StateSize:]...), verdict, err
	})
	fmt.Println(verdict)
	fmt.Println(err)
	value, version, err := store.Load(ctx, "key 7")
	fmt.Println(string(value[pinlock.StateSize:]), version, err)
	// Output:
	// pinlock: wrong PIN, 2 tries remain until the next lock, 8 in all
	// <nil>
	// owner: alice 2 <nil>
}

// A counter is 18 bytes, and nothing else is read as one.
func ExampleParseState() {
	b, err := pinlock.State{}.MarshalBinary()
	if err != nil {
		panic(err)
	}
	state, err := pinlock.ParseState(b)
	fmt.Println(len(b), state.Destroyed(), err)
	_, err = pinlock.ParseState(nil)
	fmt.Println(errors.Is(err, pinlock.ErrState))
	// Output:
	// 18 false <nil>
	// true
}

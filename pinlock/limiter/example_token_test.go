package limiter_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
)

// An account is a record that holds more than the counter: a [limiter.Counter] and the
// hash of the token that the device must show next.
type account struct {
	store  limiter.Store
	policy limiter.Policy
}

func (a account) create(ctx context.Context, id string, token []byte) error {
	record, err := limiter.Counter{}.MarshalBinary()
	if err != nil {
		return err
	}
	hash := sha256.Sum256(token)
	return a.store.Create(ctx, id, append(record, hash[:]...))
}

// attempt counts a PIN. A right one clears the counter and, in the same write, puts next
// in place of the token. Any other token than the last one proves that there is a copy of
// the device's storage, and destroys the key, whatever the PIN.
func (a account) attempt(ctx context.Context, id string, token []byte, next [32]byte, outcome limiter.Outcome) (verdict, err error) {
	err = limiter.Update(ctx, a.store, id, func(record []byte) ([]byte, error) {
		counter, err := limiter.ParseCounter(record[:limiter.CounterSize])
		if err != nil {
			return nil, err
		}
		hash := [32]byte(record[limiter.CounterSize:])
		if sha256.Sum256(token) != hash {
			counter, verdict = counter.Destroy(), limiter.ErrDestroyed
		} else if counter, verdict = a.policy.Next(counter, outcome, time.Now()); !limiter.IsVerdict(verdict) {
			return nil, verdict
		} else if verdict == nil {
			hash = next
		}
		record, err = counter.MarshalBinary()
		return append(record, hash[:]...), err
	})
	return verdict, err
}

// The thief in this example has two guesses, once. With a Limiter alone he would have two
// after each login of the owner, for ever.
func ExampleLimiter() {
	ctx := context.Background()
	a := account{new(storetest.MemoryStore), limiter.DefaultPolicy()}
	tokens := make([][]byte, 3) // drawn by the device, one ahead of each request
	for i := range tokens {
		tokens[i] = make([]byte, 32)
		rand.Read(tokens[i])
	}
	if err := a.create(ctx, "key 7", tokens[0]); err != nil {
		panic(err)
	}
	say := func(who string, verdict, err error) {
		if err != nil {
			panic(err)
		}
		fmt.Println(who, verdict)
	}

	stolen := tokens[0] // a copy of the device's storage
	var none [32]byte
	for range 2 {
		verdict, err := a.attempt(ctx, "key 7", stolen, none, limiter.Wrong)
		say("thief:", verdict, err)
	}
	verdict, err := a.attempt(ctx, "key 7", tokens[0], sha256.Sum256(tokens[1]), limiter.Right)
	say("owner:", verdict, err)
	verdict, err = a.attempt(ctx, "key 7", stolen, none, limiter.Wrong)
	say("thief:", verdict, err)
	verdict, err = a.attempt(ctx, "key 7", tokens[1], sha256.Sum256(tokens[2]), limiter.Right)
	say("owner:", verdict, err)
	// Output:
	// thief: limiter: wrong PIN, 2 tries remain until the next lock, 8 in all
	// thief: limiter: wrong PIN, 1 try remains until the next lock, 7 in all
	// owner: <nil>
	// thief: limiter: key is destroyed
	// owner: limiter: key is destroyed
}

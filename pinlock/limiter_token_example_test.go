package pinlock_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
)

// An account is a record that holds more than the counter: a [pinlock.State] and the hash of
// the token that the device must show next.
type account struct {
	store  pinlock.Store
	policy pinlock.Policy
}

func (a account) create(ctx context.Context, id string, token []byte) error {
	record, err := pinlock.State{}.MarshalBinary()
	if err != nil {
		return err
	}
	hash := sha256.Sum256(token)
	return a.store.Create(ctx, id, append(record, hash[:]...))
}

// attempt counts a PIN. A right one clears the counter and, in the same write, puts next in
// place of the token. Any other token than the last one proves that there is a copy of the
// device's storage, and destroys the key, whatever the PIN.
func (a account) attempt(ctx context.Context, id string, token []byte, next [32]byte, outcome pinlock.Outcome) (verdict, err error) {
	return pinlock.Update(ctx, a.store, id, func(record []byte) ([]byte, error, error) {
		state, err := pinlock.ParseState(record[:pinlock.StateSize])
		if err != nil {
			return nil, nil, err
		}
		hash := [32]byte(record[pinlock.StateSize:])
		if sha256.Sum256(token) != hash {
			state, verdict = state.Destroy(), pinlock.ErrDestroyed
		} else if state, verdict = a.policy.Next(state, outcome, time.Now()); !pinlock.IsVerdict(verdict) {
			return nil, nil, verdict
		} else if verdict == nil {
			hash = next
		}
		record, err = state.MarshalBinary()
		return append(record, hash[:]...), verdict, err
	})
}

// With a Limiter alone the thief in this example goes on for ever: two guesses after each
// login of the owner. With a token he has two, once.
func ExampleLimiter() {
	ctx := context.Background()
	a := account{pinlock.NewMemoryStore(), pinlock.DefaultPolicy()}
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
		verdict, err := a.attempt(ctx, "key 7", stolen, none, pinlock.Wrong)
		say("thief:", verdict, err)
	}
	verdict, err := a.attempt(ctx, "key 7", tokens[0], sha256.Sum256(tokens[1]), pinlock.Right)
	say("owner:", verdict, err)
	verdict, err = a.attempt(ctx, "key 7", stolen, none, pinlock.Wrong)
	say("thief:", verdict, err)
	verdict, err = a.attempt(ctx, "key 7", tokens[1], sha256.Sum256(tokens[2]), pinlock.Right)
	say("owner:", verdict, err)
	// Output:
	// thief: pinlock: wrong PIN, 2 tries remain until the next lock, 8 in all
	// thief: pinlock: wrong PIN, 1 try remains until the next lock, 7 in all
	// owner: <nil>
	// thief: pinlock: key is destroyed
	// owner: pinlock: key is destroyed
}

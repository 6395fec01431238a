package protocol

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
)

// copyOf returns a second phone with the same storage, as a thief has it.
func copyOf(tb testing.TB, p *phone) *phone {
	thief := openPhone(tb, p.service, p.state.copy(), nil)
	thief.id = p.id
	return thief
}

func requireCloneFound(t *testing.T, s *service, id KeyID, err error) {
	t.Helper()
	var dead *DestroyedError
	require.ErrorAs(t, err, &dead)
	require.Equal(t, ReasonClone, dead.Reason)
	require.ErrorIs(t, err, pinlock.ErrDestroyed)
	status, err := s.Status(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, Destroyed, status.Condition)
	require.Equal(t, ReasonClone, status.Reason)
	require.Contains(t, s.logged(), `msg="clone detected" key=`+id.String())
	rec := loadRecord(t, s, id)
	require.Empty(t, rec.sealedShare, "the share is erased")
}

func loadRecord(t *testing.T, s *service, id KeyID) *record {
	value, _, err := s.store.Load(t.Context(), id.recordID())
	require.NoError(t, err)
	rec, err := parseRecord(value)
	require.NoError(t, err)
	return rec
}

// TestClone: whoever of the two comes second after a signature is found, with any PIN, and the key is dead for both.
func TestClone(t *testing.T) {
	for _, second := range []string{"thief", "owner"} {
		for _, act := range []string{"right PIN", "wrong PIN", "refresh", "change PIN"} {
			t.Run(second+"/"+act, func(t *testing.T) {
				s := newService(t)
				owner := newReadyPhone(t, s)
				thief := copyOf(t, owner)
				one, two := owner, thief
				if second == "owner" {
					one, two = thief, owner
				}
				_, err := one.sign(t, "first", rightPIN)
				require.NoError(t, err)
				switch act {
				case "right PIN":
					_, err = two.sign(t, "second", rightPIN)
				case "wrong PIN":
					_, err = two.sign(t, "second", wrongPIN)
				case "refresh":
					err = two.Refresh(t.Context(), two.challenge(t))
				case "change PIN":
					err = two.ChangePIN(t.Context(), two.challenge(t), rightPIN, newPIN)
				}
				requireCloneFound(t, s, owner.id, err)
				_, err = one.sign(t, "third", rightPIN)
				var dead *DestroyedError
				require.ErrorAs(t, err, &dead)
			})
		}
	}
}

// TestCloneWhileLocked: a lock does not hide a copy.
func TestCloneWhileLocked(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	_, err := owner.sign(t, "first", rightPIN)
	require.NoError(t, err)
	for range 3 {
		_, err = owner.sign(t, "typing badly", wrongPIN)
		require.Error(t, err)
	}
	_, err = thief.sign(t, "second", rightPIN)
	requireCloneFound(t, s, owner.id, err)
}

// TestCloneByRefresh: an app that only refreshes in the background finds the copy too.
func TestCloneByRefresh(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	thief := copyOf(t, owner)
	require.NoError(t, owner.Refresh(t.Context(), owner.challenge(t)))
	_, err := thief.sign(t, "x", wrongPIN)
	requireCloneFound(t, s, owner.id, err)
}

// TestThief: a thief with a copy guesses now and then while the owner goes on signing. He keeps below the limit that
// locks the key, so that the owner notices nothing. He gets at most two answers in all.
func TestThief(t *testing.T) {
	interleavings := 1000
	if testing.Short() {
		interleavings = 100
	}
	enrolled := newService(t, func(c *Config) { c.Keys = nil })
	template := newReadyPhone(t, enrolled)
	record, _, err := enrolled.store.Load(t.Context(), template.id.recordID())
	require.NoError(t, err)
	var next, reached atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for seed := next.Add(1); seed <= int64(interleavings) && !t.Failed(); seed = next.Add(1) {
				store := pinlock.NewMemoryStore()
				if err := store.Create(t.Context(), template.id.recordID(), record); err != nil {
					t.Error(err)
					return
				}
				s := &service{store: store, clock: enrolled.clock, Server: enrolled.node(t, func(c *Config) { c.Store = store })}
				owner := openPhone(t, s, template.state.copy(), nil)
				owner.id = template.id
				guesses, err := playThief(t, rand.New(rand.NewPCG(uint64(seed), 1)), owner, copyOf(t, owner))
				if err != nil || guesses > 2 {
					t.Errorf("seed %d: %d guesses, %v", seed, guesses, err)
				}
				if guesses == 2 {
					reached.Add(1)
				}
			}
		})
	}
	group.Wait()
	require.Positive(t, reached.Load(), "the bound is reached")
}

// playThief returns how often the thief learnt that a PIN is wrong.
func playThief(t *testing.T, random *rand.Rand, owner, thief *phone) (guesses int, err error) {
	sinceLogin := 0
	for i := range 12 {
		if random.IntN(3) == 0 {
			_, err := owner.sign(t, fmt.Sprint(i), rightPIN)
			if errors.Is(err, pinlock.ErrDestroyed) {
				return guesses, nil // the thief was found out
			}
			if err != nil {
				return guesses, err
			}
			sinceLogin = 0
			continue
		}
		if sinceLogin == 2 {
			continue // a third would lock the key
		}
		var wrong *pinlock.WrongPINError
		_, err := thief.sign(t, "loot", wrongPIN)
		switch {
		case errors.As(err, &wrong):
			guesses++
			sinceLogin++
		case errors.Is(err, pinlock.ErrDestroyed):
			return guesses, nil
		default:
			return guesses, fmt.Errorf("a wrong PIN gave: %w", err)
		}
	}
	return guesses, nil
}

// TestThiefCopiesMidway: a copy taken while a request of the owner's is under way holds the next token too. It is as
// good as a copy taken after that request, and found by the owner's next signature.
func TestThiefCopiesMidway(t *testing.T) {
	s := newService(t)
	owner := newReadyPhone(t, s)
	var thief *phone
	owner = openPhone(t, s, owner.state, func(ctx context.Context, request []byte) ([]byte, error) {
		if thief == nil {
			thief = copyOf(t, owner)
		}
		return s.Handle(ctx, request)
	})
	st, err := owner.Status()
	require.NoError(t, err)
	owner.id = st.KeyID
	_, err = owner.sign(t, "one", rightPIN)
	require.NoError(t, err)
	thief.id = owner.id
	digest := digestOf("loot")
	challenge, err := s.ChallengeSign(t.Context(), owner.id, digest, crypto.SHA256)
	require.NoError(t, err)
	require.NoError(t, thief.GiveUp())
	_, err = thief.Sign(t.Context(), challenge, digest, crypto.SHA256, wrongPIN)
	var wrong *pinlock.WrongPINError
	require.ErrorAs(t, err, &wrong)
	_, err = owner.sign(t, "two", rightPIN)
	require.NoError(t, err)
	_, err = thief.sign(t, "loot", wrongPIN)
	requireCloneFound(t, s, owner.id, err)
}

// TestCopyOfGivenUpRequest: the owner gives up a request whose answer was lost, although it was settled. The copy that was
// made meanwhile knows both tokens, and is found after the owner's very next signature.
func TestCopyOfGivenUpRequest(t *testing.T) {
	s := newService(t)
	owner, l := newLossyPhone(t, s)
	l.loseResponse = true
	_, err := owner.sign(t, "one", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	thief := copyOf(t, owner)
	require.NoError(t, owner.GiveUp())
	l.loseResponse = false
	_, err = owner.sign(t, "two", rightPIN)
	require.NoError(t, err)
	require.NoError(t, thief.GiveUp())
	_, err = thief.sign(t, "loot", wrongPIN)
	requireCloneFound(t, s, owner.id, err)
}

// TestThiefDropsAnswers: a thief with a copy who also keeps the server's answers from the owner makes the owner's device use
// its last token again and again. The owner's right PIN gives no tries back then, so that the key is locked as if the
// thief were alone, until an answer is heard.
func TestThiefDropsAnswers(t *testing.T) {
	s := newService(t)
	owner, l := newLossyPhone(t, s)
	l.loseResponse = true
	login := func() {
		_, err := owner.sign(t, "login", rightPIN)
		require.ErrorIs(t, err, ErrUnanswered)
		s.clock.Add(DefaultChallengeLife + clockSkew)
	}
	for range maxTokens {
		login()
	}
	thief := copyOf(t, owner)
	require.NoError(t, thief.GiveUp())
	var wrong *pinlock.WrongPINError
	for i := range 3 {
		_, err := thief.sign(t, "loot", wrongPIN)
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, 8-i, wrong.RemainingTotal, "the owner's logins give nothing back")
		if i < 2 {
			login()
			login()
		}
	}
	require.False(t, wrong.LockedUntil.IsZero(), "the owner notices")

	// Once an answer is heard the next right PIN clears the counter, and the copy is found.
	s.clock.Add(3 * time.Hour)
	l.loseResponse = false
	for range 2 {
		_, err := owner.sign(t, "login", rightPIN)
		require.NoError(t, err)
	}
	status, err := s.Status(t.Context(), owner.id)
	require.NoError(t, err)
	require.Equal(t, 9, status.Attempts.RemainingTotal)
	_, err = thief.sign(t, "loot", wrongPIN)
	requireCloneFound(t, s, owner.id, err)
}

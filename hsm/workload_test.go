package hsm

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/modexp"
	"github.com/tandem-rsa/tandem/splitkey"
)

// workload is goroutines that use a token without a pause.
type workload struct {
	stop          context.CancelFunc
	done          sync.WaitGroup
	ok, failed    atomic.Int64
	each          []atomic.Int64 // ok, by goroutine
	wrong         atomic.Int64
	unexpected    atomic.Pointer[error]
	failure       atomic.Value // the text of the last failure
	lastFailureAt atomic.Int64 // nanoseconds since start
	start         time.Time
}

func startWorkload(ctx context.Context, goroutines int, work ...func(context.Context) error) *workload {
	ctx, cancel := context.WithCancel(ctx)
	l := &workload{stop: cancel, start: time.Now(), each: make([]atomic.Int64, goroutines)}
	for i := range goroutines {
		f := work[i%len(work)]
		l.done.Go(func() {
			for ctx.Err() == nil {
				switch err := f(context.WithoutCancel(ctx)); {
				case err == nil:
					l.ok.Add(1)
					l.each[i].Add(1)
				case errors.Is(err, ErrUnavailable):
					l.failed.Add(1)
					l.failure.Store(err.Error())
					l.lastFailureAt.Store(int64(time.Since(l.start)))
					time.Sleep(time.Millisecond) // as any client would
				case errors.Is(err, errWrong):
					l.wrong.Add(1)
				default:
					l.unexpected.Store(&err)
				}
			}
		})
	}
	return l
}

// twice waits until each goroutine has got through twice: then what it does now it began
// after the call of twice.
func (l *workload) twice(t *testing.T) {
	before := make([]int64, len(l.each))
	for i := range l.each {
		before[i] = l.each[i].Load()
	}
	require.Eventually(t, func() bool {
		for i := range l.each {
			if l.each[i].Load() < before[i]+2 {
				return false
			}
		}
		return true
	}, time.Minute, 2*time.Millisecond)
}

func (l *workload) finish(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	if err := l.unexpected.Load(); err != nil {
		t.Errorf("failed otherwise than by ErrUnavailable: %v", *err)
	}
	require.Zero(t, l.wrong.Load(), "wrong results")
}

// signing does one operation and checks it independently.
func signing(key splitkey.RSAKey) func(context.Context) error {
	k := key.(*Key)
	return func(ctx context.Context) error {
		x := make([]byte, len(k.n))
		rand.Read(x[1:])
		y, err := k.Exponentiate(ctx, x)
		if err != nil {
			return err
		}
		if !right(k.mod, x, y) {
			return errWrong
		}
		return nil
	}
}

func opening(s *Sealer, blob []byte, want string) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := s.Open(ctx, nil, blob)
		if err != nil {
			return err
		}
		if string(got) != want {
			return errWrong
		}
		return nil
	}
}

// exponentiate checks one result in the test, too.
func exponentiate(t testing.TB, key splitkey.RSAKey, zeros int) {
	t.Helper()
	pub := key.Public().(*rsa.PublicKey)
	x := make([]byte, pub.Size())
	rand.Read(x[max(1, zeros):])
	y, err := key.Exponentiate(t.Context(), x)
	require.NoError(t, err)
	require.True(t, right(modexp.NewModulus(pub.N.Bytes()), x, y))
}

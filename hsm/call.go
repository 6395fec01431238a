package hsm

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/miekg/pkcs11"
)

// session is one session, lent to one call. Its handle and the object handles found
// through it are valid until the call returns.
type session struct {
	t   *Token
	mod cryptoki
	h   handle
	gen uint64
}

// operation is what a call does.
type operation struct {
	name string
	// proven: it was seen to work on this token.
	proven bool
	// long: it makes an RSA key, and may take Config.GenerateTimeout.
	long bool
	// discard closes the session afterwards, with all objects that were made in it.
	discard bool
}

// run executes f in a session, and again after the token was recovered. f may run in a
// goroutine that outlives run, so it must not touch what belongs to the caller; and it
// must be harmless to repeat.
func run[T any](ctx context.Context, t *Token, op operation, f func(*session) (T, error)) (v T, err error) {
	defer func(start time.Time) { t.count(err, time.Since(start)) }(time.Now())
	var used [len(remedies)]int
	for {
		if err := t.admit(ctx, op.name); err != nil {
			return v, err
		}
		result, gen, err := once(ctx, t, op, f)
		if err == nil {
			return result, nil
		}
		what := react(err, op.proven)
		switch what {
		case passOn:
			return v, err
		case refused:
			return v, fmt.Errorf("%w: %s: %w", ErrUnsupported, op.name, err)
		case latchPIN:
			return v, t.latch(err)
		}
		for used[what] == remedies[what].budget {
			what = remedies[what].next
		}
		used[what]++
		if what == giveUp || what == doubt && !t.mayRestart() {
			return v, unavailable(op.name, err)
		}
		if l := remedies[what].level; l != 0 {
			if err := t.recover(ctx, l, gen, err); err != nil {
				return v, err
			}
		}
	}
}

// runOn is run for an operation with one object.
func runOn[T any](ctx context.Context, t *Token, op operation, o *object, f func(*session, handle) (T, error)) (T, error) {
	return run(ctx, t, op, func(s *session) (v T, err error) {
		h, err := s.find(o)
		if err != nil {
			return v, err
		}
		return f(s, h)
	})
}

// do is run without a result.
func do(ctx context.Context, t *Token, op operation, f func(*session) error) error {
	_, err := run(ctx, t, op, func(s *session) (struct{}, error) { return struct{}{}, f(s) })
	return err
}

// admit waits for a slot. It refuses calls that are bound to fail, and starts the
// recovery that is due.
func (t *Token) admit(ctx context.Context, op string) error {
	for {
		if err := ctx.Err(); err != nil {
			return unavailable(op, err)
		}
		t.mu.Lock()
		err, down, gen := t.refusal(op), t.downErr != nil, t.gen
		t.mu.Unlock()
		if err == nil && down {
			err = t.recover(ctx, levelRestart, gen, nil)
		}
		if err != nil {
			return err
		}
		select {
		case <-t.slots:
			if t.finalized { // while this waited
				t.slots <- struct{}{}
				return ErrClosed
			}
			return nil
		case <-ctx.Done():
		case <-time.After(t.cfg.CallTimeout / 16): // all that hold a slot may hang by now
		}
	}
}

// once runs f in one session, in the slot of its caller. It returns when f has, when the
// context ends or after the time limit; in the last two cases f goes on by itself.
func once[T any](ctx context.Context, t *Token, op operation, f func(*session) (T, error)) (v T, gen uint64, err error) {
	gen = t.gen
	type outcome struct {
		v   T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := lend(t, op, f)
		done <- outcome{v, err}
	}()
	limit := t.cfg.CallTimeout
	if op.long {
		limit = t.cfg.GenerateTimeout
	}
	select {
	case o := <-done:
		return o.v, gen, o.err
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(limit):
		err = context.DeadlineExceeded
	}
	t.mu.Lock()
	t.abandoned++
	t.stats.Abandoned++
	t.mu.Unlock()
	go func() { // nobody wants what it returns at last
		o := <-done
		if b, ok := any(o.v).([]byte); ok {
			clear(b)
		}
		t.mu.Lock()
		t.abandoned--
		t.mu.Unlock()
	}()
	t.log.Warn("hsm: call abandoned", slog.String("op", op.name))
	return v, gen, unavailable(op.name, err)
}

// lend takes a session from the pool, or opens one, for f, and gives the slot back.
func lend[T any](t *Token, op operation, f func(*session) (T, error)) (v T, err error) {
	defer func() { t.giveBack(err) }()
	s := &session{t: t, mod: t.mod, gen: t.gen}
	t.mu.Lock()
	if n := len(t.idle); n > 0 {
		s.h, t.idle = t.idle[n-1], t.idle[:n-1]
	}
	t.mu.Unlock()
	if s.h == 0 {
		if s.h, err = t.mod.OpenSession(t.slot, t.readOnly); err != nil {
			return v, err
		}
	}
	if v, err = f(s); err == nil && !op.discard {
		t.mu.Lock()
		t.idle = append(t.idle, s.h)
		t.mu.Unlock()
		return v, nil
	}
	// A session that saw an error may be stuck in an operation for ever (opencryptoki,
	// tpm2-pkcs11), and holds what f left behind.
	_ = t.mod.CloseSession(s.h)
	if react(err, false) == dropPool {
		t.mu.Lock()
		idle := t.idle
		t.idle = nil
		t.mu.Unlock()
		for _, h := range idle {
			_ = t.mod.CloseSession(h)
		}
	}
	return v, err
}

// shrinkPause is how long a slot is kept after CKR_SESSION_COUNT, so that fewer sessions
// are open. Others who use the token may have closed theirs by then.
const shrinkPause = time.Second

// live is the number of slots that do not rest.
func (t *Token) live() int { return cap(t.slots) - len(t.resting) }

// giveBack makes room for another call: at once, or later if the token has no more
// sessions.
func (t *Token) giveBack(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !isCode(err, pkcs11.CKR_SESSION_COUNT) || t.live() <= 1 {
		t.slots <- struct{}{}
		return
	}
	t.resting <- struct{}{}
	time.AfterFunc(shrinkPause, func() {
		select {
		case <-t.resting:
			t.slots <- struct{}{}
		default: // lock took it
		}
	})
}

// lock takes all slots: a module whose state is taken away under a running call takes
// the process with it. So login, recovery and C_Finalize run locked. There are no slots
// before the first login.
func (t *Token) lock(ctx context.Context) error {
	select {
	case t.locked <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	for i := range cap(t.slots) {
		select {
		case <-t.slots:
		case <-t.resting:
		case <-ctx.Done():
			t.release(i)
			return fmt.Errorf("calls into the module have not returned: %w", ctx.Err())
		}
	}
	return nil
}

func (t *Token) unlock() { t.release(cap(t.slots)) }

func (t *Token) release(slots int) {
	for range slots {
		t.slots <- struct{}{}
	}
	<-t.locked
}

package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/miekg/pkcs11"
)

// recovery is the one that runs now. All who need it wait for the same one.
type recovery struct {
	started time.Time
	done    chan struct{}
	err     error // set before done is closed
}

// recover brings the token back, unless that happened after the generation in which the
// caller met its trouble.
func (t *Token) recover(ctx context.Context, l level, gen uint64, cause error) error {
	t.mu.Lock()
	r, err := t.recovery, t.refusal("recovery")
	switch {
	case err != nil, r == nil && t.downErr == nil && t.gen != gen:
		t.mu.Unlock()
		return err
	case r == nil:
		r = &recovery{started: time.Now(), done: make(chan struct{})}
		t.recovery = r
		t.stats.Recoveries++
		go t.runRecovery(ctx, r, l, cause)
	}
	t.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return unavailable("recovery", ctx.Err())
	case <-time.After(t.cfg.CallTimeout):
		return unavailable("recovery", context.DeadlineExceeded)
	}
}

// refusal says why no call is made now, or nil. The caller holds mu.
func (t *Token) refusal(op string) error {
	switch {
	case t.closed:
		return ErrClosed
	case t.pinErr != nil:
		return t.pinErr
	case t.abandoned > 0 && t.abandoned >= t.live():
		return unavailable(op, fmt.Errorf("%d calls into the module have not returned", t.abandoned))
	case t.recovery != nil && time.Since(t.recovery.started) > t.cfg.CallTimeout:
		return unavailable(op, errors.New("a recovery has not returned"))
	case t.downErr != nil && t.recovery == nil && time.Now().Before(t.retryAt):
		return unavailable("recovery", t.downErr)
	}
	return nil
}

func (t *Token) runRecovery(ctx context.Context, r *recovery, l level, cause error) {
	if l != levelStart { // which is for its caller alone
		ctx = context.Background()
	}
	// Calls that hang keep their slots. Nothing may be taken away under them.
	ctx, cancel := context.WithTimeout(ctx, t.cfg.CallTimeout)
	defer cancel()
	err := t.lock(ctx)
	locked := err == nil
	switch {
	case !locked:
	case t.finalized:
		// Close came first, so the module may belong to another owner by now.
		err = ErrClosed
	default:
		if l == levelLogin {
			if err = t.loginAnew(ctx); err == nil || errors.Is(err, ErrPIN) {
				break
			}
			l = levelRestart
		}
		err = t.restartModule(ctx)
	}
	t.mu.Lock()
	t.recovery = nil
	switch {
	case t.pinErr != nil:
		r.err = t.pinErr
	case errors.Is(err, ErrClosed), l == levelStart:
		r.err = err
	case err != nil:
		t.downErr = err
		t.retryAt = time.Now().Add(t.backoff)
		t.backoff = min(2*t.backoff, t.cfg.MaxBackoff)
		r.err = unavailable("recovery", err)
	default:
		t.downErr = nil
		t.backoff = min(firstBackoff, t.cfg.MaxBackoff)
	}
	t.mu.Unlock()
	if locked {
		t.unlock()
	}
	if l != levelStart {
		t.log.Warn("hsm: recovery", slog.Int("level", int(l-levelStart)), slog.Any("cause", cause),
			slog.Any("result", r.err), slog.Duration("took", time.Since(r.started)))
	}
	close(r.done)
}

// loginAnew is level 1. The token is locked.
func (t *Token) loginAnew(ctx context.Context) error {
	info, err := t.mod.TokenInfo(t.slot)
	if err == nil && !t.isMeant(info) {
		err = errors.New("another token is in the slot")
	}
	if err == nil {
		err = t.closeAll()
	}
	if err == nil {
		err = t.logIn(ctx, info)
	}
	return err
}

// restartModule is level 2, and the start. The token is locked.
func (t *Token) restartModule(ctx context.Context) error {
	t.mu.Lock()
	t.stats.Restarts++
	t.idle = nil
	t.mu.Unlock()
	finalized := t.own.finalize()
	if err := t.own.initialize(t.cfg.Parameters); err != nil {
		return err
	}
	info, err := t.findToken()
	if err == nil && finalized != nil {
		err = t.closeAll() // what it holds goes like this
	}
	if err != nil {
		return err
	}
	if t.slots == nil {
		n := t.cfg.Sessions
		// 0 is "no information" and ^0 "no limit"; one session holds the login.
		if limit := info.maxRWSessions; limit > 1 && limit < maxSessions {
			n = min(n, int(limit)-1)
		}
		t.slots, t.resting = make(chan struct{}, n), make(chan struct{}, n) // unlock fills the first
	}
	return t.logIn(ctx, info)
}

// closeAll ends all sessions, pooled ones too.
func (t *Token) closeAll() error {
	t.mu.Lock()
	t.idle = nil
	t.mu.Unlock()
	return t.mod.CloseAllSessions(t.slot)
}

// pause lets something happen at growing intervals: at once after a quiet half minute,
// then after 100 ms, 200 ms and so on.
type pause struct {
	last time.Time
	wait time.Duration
}

const longestPause = 30 * time.Second

func (p *pause) ready(now time.Time) bool {
	since := now.Sub(p.last)
	switch {
	case since > longestPause:
		p.wait = firstBackoff
	case since < p.wait:
		return false
	default:
		p.wait = min(2*p.wait, longestPause)
	}
	p.last = now
	return true
}

// mayRestart limits the restarts that a single sick key or a wrong reading of a return
// value can cause, since each stops the work of all.
func (t *Token) mayRestart() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Whoever comes while a recovery runs only waits for it.
	return t.recovery != nil || t.restarts.ready(time.Now())
}

// logIn opens the session that holds the login and logs in. It stays open until the next
// recovery; C_Logout is never called, since it would log out all sessions of the process.
func (t *Token) logIn(ctx context.Context, info tokenInfo) error {
	t.readOnly = false
	anchor, err := t.mod.OpenSession(t.slot, false)
	if isCode(err, pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_SESSION_READ_ONLY) {
		// Its keys can be used all the same.
		t.readOnly = true
		anchor, err = t.mod.OpenSession(t.slot, true)
	}
	if err != nil {
		return unavailable("C_OpenSession", err)
	}
	if t.needsLogin = info.flags&pkcs11.CKF_LOGIN_REQUIRED != 0; t.needsLogin {
		if err := t.login(ctx, anchor, info.flags); err != nil {
			return err
		}
	}
	t.mu.Lock()
	t.gen++
	t.mu.Unlock()
	t.log.Info("hsm: logged in", slog.String("token", info.label), slog.String("model", info.model),
		slog.String("serial", info.serial), slog.Uint64("generation", t.gen))
	return nil
}

func (t *Token) login(ctx context.Context, anchor handle, flags uint) error {
	switch {
	case flags&pkcs11.CKF_USER_PIN_INITIALIZED == 0:
		return unavailable("login", errors.New("the token has no user PIN yet"))
	case flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return fmt.Errorf("%w: it is locked", ErrPIN)
	case flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return fmt.Errorf("%w: one try is left, and it is not spent here: log in with the token's own tool first", ErrPIN)
	}
	pin, err := t.cfg.PIN(ctx)
	if err == nil {
		err = ctx.Err() // nobody waits any more
	}
	if err != nil {
		clear(pin)
		return unavailable("PIN callback", err)
	}
	err = t.mod.Login(anchor, pin)
	clear(pin)
	switch {
	case err == nil, isCode(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN):
		return nil
	case isCode(err, pinNotTried...):
		return unavailable("C_Login", err)
	}
	if _, gone := t.mod.TokenInfo(t.slot); gone != nil {
		return unavailable("C_Login", err) // it was no longer there to try the PIN
	}
	return t.latch(err)
}

// latch ends all attempts to log in: a PIN that was refused once will be refused again,
// and every refusal brings the token closer to its lock.
func (t *Token) latch(cause error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pinErr == nil {
		t.pinErr = fmt.Errorf("%w: %w", ErrPIN, cause)
		t.log.Error("hsm: PIN refused, no further attempt", slog.Any("cause", cause))
	}
	return t.pinErr
}

package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// Token is one open token. It owns its module: no other library in the same
// process may use the same file.
//
// Its methods, and those of what it returns, may be called from many
// goroutines. They return errors that wrap ErrUnavailable while the token is
// away, and work again when it is back; nothing needs to be opened anew.
type Token struct {
	cfg     Config
	mod     cryptoki
	log     *slog.Logger
	release func() // gives the module up for another Open
	caps    Capabilities
	gate    *gate
	crew    *crew         // runs what calls into the module
	slots   chan struct{} // one element for each call that may run

	// Written with the gate locked, read inside it.
	slot      uint
	serial    string
	gen       uint64 // counts logins; object handles live as long
	finalized bool
	// needsLogin is CKF_LOGIN_REQUIRED.
	needsLogin bool
	// What keys are made with; found out by the self-test.
	guard          []attributeCheck
	unwrapTemplate bool // wrapping keys get CKA_UNWRAP_TEMPLATE
	keepsTemplate  bool // and the token keeps to it

	mu        sync.Mutex
	idle      []handle // pooled sessions
	live      int      // slots that shrinkPool left
	closed    bool
	pinErr    error     // set once, never cleared
	downErr   error     // the last recovery failed
	retryAt   time.Time // no recovery before
	backoff   time.Duration
	restarts  pause // of ambiguous errors
	recovery  *recovery
	abandoned int
	stats     Stats
	macKeys   map[keyID]*macKey // wiped at Close
}

// Open loads the module, logs in to the token and finds out what it can do. The context
// is for the PIN callback; it does not cut short a wait for the module.
//
// Errors: ErrNoPKCS11, ErrConfig, ErrModule, ErrInUse, *TokenError, ErrPIN and
// ErrUnavailable.
func Open(ctx context.Context, cfg Config) (*Token, error) {
	if ctx == nil {
		return nil, errNothing
	}
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	mod, release, err := claim(cfg.Module, cfg.Parameters)
	if err != nil {
		return nil, err
	}
	t, err := open(ctx, cfg, mod)
	if err != nil {
		release()
		return nil, err
	}
	t.release = release
	return t, nil
}

// open starts a module that nobody else uses.
func open(ctx context.Context, cfg Config, mod cryptoki) (*Token, error) {
	t := &Token{cfg: cfg, mod: mod, log: cfg.Logger, release: func() {}, gate: newGate(), crew: newCrew(), backoff: min(firstBackoff, cfg.MaxBackoff)}
	if err := ctx.Err(); err != nil {
		return nil, unavailable("open", err)
	}
	if err := mod.Initialize(); err != nil {
		var code CKR
		if errors.As(err, &code) && code == pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED {
			return nil, fmt.Errorf("%w: another library of this program initialized %s: %w", ErrInUse, cfg.Module, err)
		}
		return nil, unavailable("C_Initialize", err)
	}
	err := t.start(ctx)
	if err == nil {
		err = t.selfTest()
	}
	if err != nil {
		// The error that matters is the one above.
		_ = mod.Finalize()
		return nil, err
	}
	return t, nil
}

// start finds the token, logs in and makes the pool.
func (t *Token) start(ctx context.Context) error {
	info, err := t.findToken()
	if err != nil {
		return err
	}
	if t.slots == nil {
		n := t.cfg.Sessions
		// 0 is "no information" and ^0 "no limit"; one session holds the login.
		if limit := info.maxRWSessions; limit > 1 && limit < maxSessions {
			n = min(n, int(limit)-1)
		}
		t.slots = make(chan struct{}, n)
		t.live = n
		for range n {
			t.slots <- struct{}{}
		}
	}
	return t.logIn(ctx, info)
}

// findToken looks for the one token meant.
func (t *Token) findToken() (tokenInfo, error) {
	slots, err := t.mod.Slots()
	if err != nil {
		return tokenInfo{}, unavailable("C_GetSlotList", err)
	}
	miss := &TokenError{Label: t.cfg.Label, Serial: t.wantSerial()}
	var found tokenInfo
	for _, slot := range slots {
		info, err := t.mod.TokenInfo(slot)
		if err != nil || info.flags&pkcs11.CKF_TOKEN_INITIALIZED == 0 {
			continue // a slot whose token cannot be read is not the one
		}
		miss.Found = append(miss.Found, info.label+"/"+info.serial)
		if t.isMeant(info) {
			miss.Matches++
			found, t.slot = info, slot
		}
	}
	if miss.Matches != 1 {
		return tokenInfo{}, miss
	}
	if t.serial == "" {
		t.serial = found.serial
	}
	return found, nil
}

func (t *Token) wantSerial() string {
	if t.serial != "" {
		return t.serial
	}
	return t.cfg.Serial
}

func (t *Token) isMeant(info tokenInfo) bool {
	serial := t.wantSerial()
	return (t.cfg.Label == "" || info.label == t.cfg.Label) && (serial == "" || info.serial == serial)
}

// Serial returns the token's serial number.
func (t *Token) Serial() string {
	if t == nil {
		return ""
	}
	return t.serial
}

// Close ends the use of the module. It waits for running calls until the context ends.
// Then it leaves the module as it is, since finalizing it during a call would crash the
// process.
//
// Errors: ErrUnavailable, when calls still run; the token takes no new ones, and Close
// may be repeated.
func (t *Token) Close(ctx context.Context) error {
	if err := t.made(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	if err := t.gate.lock(ctx); err != nil {
		return unavailable("close", fmt.Errorf("calls into the module still run: %w", err))
	}
	defer t.gate.unlock()
	if t.finalized {
		return nil
	}
	t.finalized = true
	t.mu.Lock()
	t.idle = nil
	for _, k := range t.macKeys {
		k.wipe()
	}
	t.mu.Unlock()
	err := t.mod.Finalize()
	t.release()
	var code CKR
	if errors.As(err, &code) && code == pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED {
		err = nil
	}
	if err != nil {
		return unavailable("C_Finalize", err)
	}
	return nil
}

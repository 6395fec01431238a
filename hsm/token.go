package hsm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// Token is one open token. It owns its module: no other library in the same process may
// use the same file.
//
// Its methods, and those of what it returns, may be called from many goroutines.
type Token struct {
	cfg    Config
	own    *owned
	mod    cryptoki // own.mod
	log    *slog.Logger
	caps   Capabilities
	locked chan struct{} // full while somebody has or collects all slots

	// Written while locked, read by who has a slot.
	slots     chan struct{} // one element for each call that may run
	resting   chan struct{} // those that giveBack keeps
	slot      uint
	gen       uint64 // counts logins; object handles live as long
	finalized bool
	// needsLogin is CKF_LOGIN_REQUIRED; readOnly: the token is write-protected.
	needsLogin, readOnly bool

	// What keys are made with; found out by the self-test.
	guard          []attributeCheck
	unwrapTemplate bool // wrapping keys get CKA_UNWRAP_TEMPLATE
	wrapping       wrapping

	making sync.Map // kinds and labels of what calls make now

	mu        sync.Mutex
	idle      []handle // pooled sessions
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

// Open loads the module, logs in to the token and finds out what it can do. It returns
// when the context ends, or a step takes longer than Config.CallTimeout (the self-test's
// RSA key: Config.GenerateTimeout). The module is in use then until that step returns.
//
// Errors: ErrNoPKCS11, ErrConfig, ErrModule, ErrInUse, *TokenError, ErrPIN and
// ErrUnavailable, the last also if the module fails in the self-test otherwise than by
// refusing: what a token can do is not decided by a passing fault.
func Open(ctx context.Context, cfg Config) (*Token, error) {
	if ctx == nil {
		return nil, errNothing
	}
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	own, err := claim(cfg.Module)
	if err != nil {
		return nil, err
	}
	return open(ctx, cfg, own)
}

// open starts a module that nobody else uses.
func open(ctx context.Context, cfg Config, own *owned) (*Token, error) {
	t := &Token{
		cfg: cfg, own: own, mod: own.mod, log: cfg.Logger,
		locked: make(chan struct{}, 1), backoff: min(firstBackoff, cfg.MaxBackoff), macKeys: make(map[keyID]*macKey),
	}
	err := unavailable("open", ctx.Err())
	if err == nil {
		err = t.recover(ctx, levelStart, 0, nil)
	}
	if err == nil {
		err = t.selfTest(ctx)
	}
	if err != nil {
		// Now, so that it can be opened anew at once, or when the last call returns.
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_ = t.end(soon, context.Background(), true)
		return nil, err
	}
	t.mu.Lock()
	t.stats = Stats{}
	t.mu.Unlock()
	return t, nil
}

// end takes no new calls, and gives the module up when the last one has returned. It
// waits for that until the context ends; after a while nobody does.
func (t *Token) end(ctx, while context.Context, anyway bool) error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		err := t.lock(while)
		if err == nil {
			err = t.shut(anyway)
			t.unlock()
		}
		ended <- unavailable("close", err)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return unavailable("close", ctx.Err())
	}
}

// findToken looks for the one token meant.
func (t *Token) findToken() (tokenInfo, error) {
	slots, err := t.mod.Slots()
	if err != nil {
		return tokenInfo{}, unavailable("C_GetSlotList", err)
	}
	miss := &TokenError{Label: t.cfg.Label, Serial: t.cfg.Serial}
	var found tokenInfo
	var unread error
	for _, slot := range slots {
		info, err := t.mod.TokenInfo(slot)
		switch {
		case isCode(err, pkcs11.CKR_TOKEN_NOT_PRESENT, pkcs11.CKR_TOKEN_NOT_RECOGNIZED):
		case err != nil:
			unread = err
		case info.flags&pkcs11.CKF_TOKEN_INITIALIZED != 0:
			miss.Found = append(miss.Found, info.label+"/"+info.serial)
			if t.isMeant(info) {
				miss.Matches++
				found, t.slot = info, slot
			}
		}
	}
	if miss.Matches == 0 && unread != nil {
		return tokenInfo{}, unavailable("C_GetTokenInfo", unread) // it may be that one
	}
	if miss.Matches != 1 {
		return tokenInfo{}, miss
	}
	if t.cfg.Serial == "" {
		t.cfg.Serial = found.serial // from now on this token only
	}
	return found, nil
}

func (t *Token) isMeant(info tokenInfo) bool {
	return (t.cfg.Label == "" || info.label == t.cfg.Label) && (t.cfg.Serial == "" || info.serial == t.cfg.Serial)
}

// Serial returns the token's serial number.
func (t *Token) Serial() string {
	if t == nil {
		return ""
	}
	return t.cfg.Serial
}

// Close ends the use of the module. It waits for running calls until the context ends.
// Then it leaves the module as it is, since finalizing it during a call would crash the
// process.
//
// Errors: ErrUnavailable, when calls still run or C_Finalize fails; the token takes no
// new calls, and Close may be repeated.
func (t *Token) Close(ctx context.Context) error {
	if err := t.made(ctx); err != nil {
		return err
	}
	return t.end(ctx, ctx, false)
}

// shut forgets what was derived in the token, and gives the module up: anyway, or if
// C_Finalize says that it may. The token is locked.
func (t *Token) shut(anyway bool) error {
	if t.finalized {
		return nil
	}
	t.mu.Lock()
	t.idle = nil
	for _, k := range t.macKeys {
		k.mu.Lock()
		k.key.Wipe()
		k.mu.Unlock()
	}
	t.mu.Unlock()
	if err := t.own.finalize(); err != nil && !anyway {
		return err
	}
	t.finalized = true
	t.own.free()
	return nil
}

// errNothing is the error for a nil receiver, a zero value and a nil context.
var errNothing = fmt.Errorf("%w: a nil or zero value, or no context", ErrInput)

func (t *Token) made(ctx context.Context) error {
	if t == nil || t.mod == nil || ctx == nil {
		return errNothing
	}
	return nil
}

func (s *Sealer) made() bool { return s != nil && s.keys != nil }

func (p *ServerKeys) made() bool { return p != nil && p.keys != nil }

// modules holds what this process loaded, by file. A library is loaded once and stays; it
// has at most one owner, since C_Initialize and C_Finalize concern the whole process.
var modules struct {
	sync.Mutex
	list []*owned
}

// owned is a module, and for now whoever has it.
type owned struct {
	file os.FileInfo
	mod  cryptoki
	busy bool
	// initialized: by this package, if only perhaps, and not yet finalized, or in vain.
	// Only the owner looks at it.
	initialized bool
}

// claim makes the caller the owner of a module until it calls free.
func claim(path string) (*owned, error) {
	if !loadable {
		return nil, ErrNoPKCS11
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	modules.Lock()
	defer modules.Unlock()
	i := slices.IndexFunc(modules.list, func(o *owned) bool { return os.SameFile(o.file, file) })
	if i < 0 {
		mod, err := load(path)
		if err != nil {
			return nil, err
		}
		i = len(modules.list)
		modules.list = append(modules.list, &owned{file: file, mod: mod})
	}
	o := modules.list[i]
	if o.busy {
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	o.busy = true
	return o, nil
}

func (o *owned) free() {
	modules.Lock()
	o.busy = false
	modules.Unlock()
}

// initialize is C_Initialize. If C_Finalize failed before, the module is taken as it is.
func (o *owned) initialize(parameters string) error {
	err := o.mod.Initialize(parameters)
	if isCode(err, pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		if !o.initialized {
			return fmt.Errorf("%w: another library of this program initialized it: %w", ErrInUse, err)
		}
		return nil
	}
	// It may have worked, and its answer be lost. C_Finalize comes before the next try.
	o.initialized = true
	return unavailable("C_Initialize", err)
}

// finalize is C_Finalize, if it is due.
func (o *owned) finalize() error {
	if !o.initialized {
		return nil
	}
	if err := o.mod.Finalize(); err != nil && !isCode(err, pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED) {
		return unavailable("C_Finalize", err)
	}
	o.initialized = false
	return nil
}

// Stats counts what happened since the token was opened. The numbers only grow, except
// Running, Idle and Sessions.
type Stats struct {
	// Calls by result. Inputs refused before the module are not counted.
	OK, Unavailable, Refused, Faults uint64
	// Abandoned calls did not return in time; Running have not returned yet.
	Abandoned uint64
	Running   int
	// Recoveries of either level, and how many of them restarted the module.
	Recoveries, Restarts uint64
	Generation           uint64        // logins
	Time                 time.Duration // spent in calls, waits and recoveries included
	// Sessions is the number of calls that may run, Idle of pooled sessions.
	Sessions, Idle int
	PINRefused     bool // the token needs a human
	Down           bool // the last recovery failed
}

// Stats returns the counters.
func (t *Token) Stats() Stats {
	if t == nil {
		return Stats{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Running, s.Generation, s.Sessions, s.Idle = t.abandoned, t.gen, t.live(), len(t.idle)
	s.PINRefused, s.Down = t.pinErr != nil, t.downErr != nil
	return s
}

func (t *Token) count(err error, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Time += took
	switch {
	case err == nil:
		t.stats.OK++
	case errors.Is(err, ErrUnavailable):
		t.stats.Unavailable++
	default:
		t.stats.Refused++
	}
}

// fault counts and logs a wrong result.
func (t *Token) fault(op string) error {
	t.mu.Lock()
	t.stats.Faults++
	t.mu.Unlock()
	t.log.Error("hsm: the module reported success and gave a wrong result", slog.String("op", op))
	return fmt.Errorf("%w: %s", ErrFault, op)
}

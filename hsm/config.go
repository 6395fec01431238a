package hsm

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

// Config says which token to open, and how to use it.
type Config struct {
	// Module is the path of the PKCS #11 library.
	Module string
	// Parameters is passed to C_Initialize as pReserved, for the modules that want it:
	// NSS softoken (configdir='sql:/path' ...). All others refuse it.
	Parameters string
	// Label and Serial select the token. Exactly one token must have both. An empty
	// Serial matches any. The serial that was found is remembered, so that another token
	// of the same label is never taken for it.
	Label, Serial string
	// PIN returns the user PIN. It is called at every login: when the token is opened and
	// whenever the module forgot its state. The slice is wiped after use.
	PIN func(context.Context) ([]byte, error)

	// Sessions is the number of calls that run in the module at one time. Default: twice
	// GOMAXPROCS. A token that allows fewer gets fewer.
	Sessions int
	// CallTimeout bounds one call into the module, and a recovery, the PIN callback
	// included. A call that takes longer is abandoned: it keeps its session and its
	// thread until it returns, since nothing can stop it. Default: 10 s.
	CallTimeout time.Duration
	// GenerateTimeout does the same for a call that makes an RSA key. Default: 5 min.
	GenerateTimeout time.Duration
	// MaxBackoff is the longest pause between two attempts to get a lost token back; the
	// first is 100 ms or MaxBackoff. Default: 500 ms.
	MaxBackoff time.Duration

	// Logger receives one record for each login, recovery, wrong result and refused
	// capability. Never an input, an output or a PIN. Default: none.
	Logger *slog.Logger
}

const (
	firstBackoff = 100 * time.Millisecond
	maxSessions  = 1024
)

// complete checks the settings and fills in the defaults.
func (c Config) complete() (Config, error) {
	switch {
	case c.Module == "" || c.Label == "" && c.Serial == "" || c.PIN == nil:
		return c, fmt.Errorf("%w: no module, no token label or serial number, or no PIN callback", ErrConfig)
	case c.Sessions < 0 || c.Sessions > maxSessions:
		return c, fmt.Errorf("%w: %d sessions, must be 0 to %d", ErrConfig, c.Sessions, maxSessions)
	case c.CallTimeout < 0 || c.GenerateTimeout < 0 || c.MaxBackoff < 0:
		return c, fmt.Errorf("%w: negative time", ErrConfig)
	}
	c.Sessions = cmp.Or(c.Sessions, 2*runtime.GOMAXPROCS(0))
	c.CallTimeout = cmp.Or(c.CallTimeout, 10*time.Second)
	c.GenerateTimeout = cmp.Or(c.GenerateTimeout, 5*time.Minute)
	c.MaxBackoff = cmp.Or(c.MaxBackoff, 500*time.Millisecond)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

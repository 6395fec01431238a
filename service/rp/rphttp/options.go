package rphttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/service/rp"
)

// ErrConfig is wrapped by the errors of [NewHandler].
var ErrConfig = errors.New("rphttp: unusable configuration")

// Options may be left out, each by itself.
type Options struct {
	// Base is the path in front of "/v1", "/v2" and "/v3", such as "/smart-id-rp".
	Base string
	// Retired are versions that are no longer served: their clients are told with status
	// 480 that they are too old.
	Retired []rp.Version

	// LocalCallbacks takes callback URLs of this machine without TLS, for trials.
	LocalCallbacks bool

	// TrustedProxies are the addresses of proxies in front. What these say in
	// X-Forwarded-For is believed, from the right to the first that is not one of them.
	TrustedProxies []netip.Prefix
	// RequestIDHeader, if not empty, is the header in which such a proxy names each
	// request, in 1 to 64 letters, digits, and ".", "_" and "-".
	RequestIDHeader string

	// RatePerSource is how many requests a second one source may send for long, and
	// BurstPerSource how many at once. A source is an IPv4 address, or 64 bits of an IPv6
	// address. 0 means 200 and 1000.
	RatePerSource, BurstPerSource int

	// ReadTimeout is how long a body may take, and WriteTimeout an answer, to a client
	// that is slow or does not read. 0 means 10 seconds. They hold whatever the
	// http.Server around the handler says.
	ReadTimeout, WriteTimeout time.Duration
	// Concurrent is how many requests are worked on at once. 0 means 1024.
	Concurrent int
	// Waiters is how many wait at once, for the end of a session or of their own body,
	// and WaitersPerSource how many of one source. 0 means 16384 and 4096.
	Waiters, WaitersPerSource int

	// Log gets a line for each request; nil is no log.
	Log *slog.Logger
	// Observe, if not nil, is called after each answer.
	Observe func(Answered)
}

// Answered is what [Options].Observe learns of a request. It has no person, and its
// values do not depend on what strangers send.
type Answered struct {
	Version  rp.Version // 0 if the path has none
	Endpoint string     // such as "authentication/etsi/{id}"; empty if there is none
	Status   int        // 499 if the client did not wait for it
	Took     time.Duration
}

// Handler is an [http.Handler]. It must not be behind an http.ServeMux.
type Handler struct {
	engine  Engine
	options Options
	routes  routes
	sources limiter
	working chan struct{} // one for each request at work
	waiting waiters

	maintenance atomic.Bool
	draining    context.Context
	drain       context.CancelFunc
}

// or returns a default for 0.
func or[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// NewHandler returns a handler. The error wraps ErrConfig.
func NewHandler(engine Engine, o Options) (*Handler, error) {
	if isnil.Value(engine) {
		return nil, fmt.Errorf("%w: no engine", ErrConfig)
	}
	if o.Base != "" && (!strings.HasPrefix(o.Base, "/") || strings.HasSuffix(o.Base, "/")) || strings.ContainsAny(o.Base, "%?#") || strings.Contains(o.Base, "//") {
		return nil, fmt.Errorf("%w: Base is not a path, such as /smart-id-rp", ErrConfig)
	}
	for _, v := range o.Retired {
		if v < rp.V1 || v > rp.V3 {
			return nil, fmt.Errorf("%w: Retired has a version that is none", ErrConfig)
		}
	}
	for _, p := range o.TrustedProxies {
		if !p.IsValid() {
			return nil, fmt.Errorf("%w: TrustedProxies has one without an address", ErrConfig)
		}
	}
	for _, n := range []int{o.RatePerSource, o.BurstPerSource, o.Concurrent, o.Waiters, o.WaitersPerSource, int(o.ReadTimeout), int(o.WriteTimeout)} {
		if n < 0 {
			return nil, fmt.Errorf("%w: a negative option", ErrConfig)
		}
	}
	o.Retired, o.TrustedProxies = slices.Clone(o.Retired), slices.Clone(o.TrustedProxies)
	o.RatePerSource, o.BurstPerSource = or(o.RatePerSource, 200), or(o.BurstPerSource, 1000)
	if o.RatePerSource > 1e6 || o.BurstPerSource > 3600*o.RatePerSource {
		return nil, fmt.Errorf("%w: RatePerSource is more than a million, or BurstPerSource more than an hour's requests", ErrConfig)
	}
	o.ReadTimeout, o.WriteTimeout = or(o.ReadTimeout, 10*time.Second), or(o.WriteTimeout, 10*time.Second)
	o.Concurrent, o.Waiters, o.WaitersPerSource = or(o.Concurrent, 1024), or(o.Waiters, 1<<14), or(o.WaitersPerSource, 1<<12)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &Handler{
		engine: engine, options: o, routes: newRoutes(o.Base, o.LocalCallbacks),
		sources: newLimiter(o.RatePerSource, o.BurstPerSource),
		working: make(chan struct{}, o.Concurrent),
		waiting: waiters{most: o.Waiters, mostOfOne: o.WaitersPerSource, of: map[netip.Prefix]int{}},
	}
	h.draining, h.drain = context.WithCancel(context.Background())
	return h, nil
}

func (h *Handler) made() bool { return h != nil && h.engine != nil }

// SetMaintenance says whether the service is under maintenance: then nothing begins
// (status 580), and sessions that have begun are told of as before.
func (h *Handler) SetMaintenance(on bool) {
	if h.made() {
		h.maintenance.Store(on)
	}
}

// Drain lets nobody wait any longer: who asks for a session learns how it is now. It is
// for [http.Server.RegisterOnShutdown], since Shutdown waits for requests to end.
func (h *Handler) Drain() {
	if h.made() {
		h.drain()
	}
}

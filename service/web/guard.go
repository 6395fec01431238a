package web

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/quota"
)

// Guard says who sends too much: a source, which is an IPv4 address or 64 bits of an IPv6
// address, may begin so many things in a time.
type Guard struct {
	quota  *quota.Quota
	source func(*http.Request) netip.Addr
}

// DefaultRules are for logins that are begun, and codes that are tried, on a page.
func DefaultRules() quota.Rules {
	return quota.Rules{
		Source: []quota.Rule{{N: 20, Per: time.Minute}, {N: 500, Per: 24 * time.Hour}},
		All:    []quota.Rule{{N: 1200, Per: time.Minute}},
	}
}

// NewGuard returns a Guard of one kind of attempts, a word such as "page". source returns
// the address that a request is from. The error wraps ErrConfig or quota.ErrConfig.
func NewGuard(db *database.DB, kind string, rules quota.Rules, source func(*http.Request) netip.Addr) (*Guard, error) {
	if source == nil {
		return nil, fmt.Errorf("%w: no source", ErrConfig)
	}
	q, err := quota.New(db, kind, rules, nil)
	if err != nil {
		return nil, err
	}
	return &Guard{q, source}, nil
}

// Allow takes a place for a request. The error is a [*quota.Later] if it is too early.
func (g *Guard) Allow(ctx context.Context, r *http.Request) error {
	if g == nil || g.source == nil || r == nil {
		return fmt.Errorf("%w: no guard or no request", ErrConfig)
	}
	return g.quota.Allow(ctx, quota.Attempt{Source: network(g.source(r))})
}

// Source is the address that a request is from, as text.
func (g *Guard) Source(r *http.Request) string {
	if g == nil || g.source == nil || r == nil {
		return ""
	}
	return g.source(r).String()
}

// network is what counts as one source.
func network(a netip.Addr) string {
	if a = a.Unmap().WithZone(""); a.Is6() {
		p, err := a.Prefix(64)
		if err == nil {
			return p.String()
		}
	}
	return a.String()
}

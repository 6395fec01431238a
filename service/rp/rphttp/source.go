package rphttp

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/netip"
	"strings"

	"github.com/tandem-rsa/tandem/service/rp"
)

// Source returns who sent a request, as the handler tells its Engine: for other handlers
// behind the same proxies.
func (h *Handler) Source(r *http.Request) rp.Source {
	if h == nil || r == nil {
		return rp.Source{}
	}
	s, _ := h.source(r)
	return s
}

// source returns who sent a request, and whether a trusted proxy passed it on.
func (h *Handler) source(r *http.Request) (s rp.Source, byProxy bool) {
	peer, _ := address(r.RemoteAddr)
	s.Address, byProxy = h.client(peer, r.Header.Values("X-Forwarded-For"))
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		s.TokenHash = sha256.Sum256([]byte(strings.Trim(token, " ")))
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		s.Certificate = r.TLS.PeerCertificates[0]
	}
	return s, byProxy
}

// address reads an address, with or without a port.
func address(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}

func (h *Handler) trusted(a netip.Addr) bool {
	for _, p := range h.options.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// client returns the address of the client. Each proxy adds the address that it sees at
// the right end of X-Forwarded-For: as long as that is a proxy's, what stands to its left
// is believed. What is no address ends that.
func (h *Handler) client(peer netip.Addr, forwarded []string) (a netip.Addr, byProxy bool) {
	if !h.trusted(peer) {
		return peer, false
	}
	a = peer
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && h.trusted(a); i-- {
		next, ok := address(strings.Trim(hops[i], " \t"))
		if !ok {
			break
		}
		a = next
	}
	return a, true
}

// requestID returns a trusted proxy's name for a request, or draws one.
func (h *Handler) requestID(r *http.Request, byProxy bool) string {
	if byProxy && h.options.RequestIDHeader != "" {
		if id := r.Header.Get(h.options.RequestIDHeader); plain(id) {
			return id
		}
	}
	return rand.Text()
}

// plain reports whether an id can stand in a log.
func plain(id string) bool {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	return len(id) >= 1 && len(id) <= 64 && strings.Trim(id, allowed) == ""
}

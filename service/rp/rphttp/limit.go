package rphttp

import (
	"net/netip"
	"sync"
	"time"
)

// network returns what counts as one source: an IPv4 address, or the 64 bits of an IPv6
// address that one customer has at least. All sources without an address are one.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

const maxSources = 1 << 16

// limiter counts the requests of sources, by the generic cell rate algorithm (ITU-T
// I.371): of each source it keeps the time at which all that it sent would have arrived
// at the allowed rate.
type limiter struct {
	every, ahead time.Duration

	mu    *sync.Mutex
	due   map[netip.Prefix]time.Time
	swept time.Time
}

func newLimiter(rate, burst int) limiter {
	every := time.Second / time.Duration(rate)
	return limiter{every: every, ahead: every * time.Duration(burst), mu: new(sync.Mutex), due: map[netip.Prefix]time.Time{}}
}

// allow counts a request, and reports whether it is within the limits. A request that is
// not does not count.
func (l *limiter) allow(source netip.Prefix, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	due, known := l.due[source]
	if !known && len(l.due) >= maxSources && !l.sweep(now) {
		// So many sources at once are not slowed down by counting each of them. The other
		// limits of the handler hold.
		return true
	}
	if due.Before(now) {
		due = now
	}
	due = due.Add(l.every)
	if due.Sub(now) > l.ahead {
		return false
	}
	l.due[source] = due
	return true
}

// sweep forgets sources that have been silent for long enough, at most once a second. It
// reports whether there is room.
func (l *limiter) sweep(now time.Time) bool {
	if now.Sub(l.swept) < time.Second {
		return false
	}
	l.swept = now
	for source, due := range l.due {
		if !due.After(now) {
			delete(l.due, source)
		}
	}
	return len(l.due) < maxSources
}

// waiters counts those that wait for the end of a session.
type waiters struct {
	most, mostOfOne int

	mu  sync.Mutex
	all int
	of  map[netip.Prefix]int
}

// enter lets one wait, or says whether they are too many (all) or too many of one source.
func (w *waiters) enter(source netip.Prefix) (tooMany, tooManyOfOne bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.of[source] >= w.mostOfOne:
		return false, true
	case w.all >= w.most:
		return true, false
	}
	w.all++
	w.of[source]++
	return false, false
}

func (w *waiters) leave(source netip.Prefix) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all--
	if w.of[source]--; w.of[source] == 0 {
		delete(w.of, source)
	}
}

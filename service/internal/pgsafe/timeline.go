package pgsafe

import (
	"fmt"
	"strconv"
	"sync"
)

// timeline is the newest one that a Guard has seen. PostgreSQL begins a new one whenever
// a standby is promoted. So a former primary, which was away meanwhile and does not know
// of it, shows by its older one.
type timeline struct {
	mu     sync.Mutex
	newest uint64
}

// see refuses a server whose log is of an older timeline, and reports whether this is the
// first connection to a newer one.
func (t *timeline) see(walFile string) (newer bool, err error) {
	if len(walFile) != 24 {
		return false, fmt.Errorf("postgres: log file %q", walFile)
	}
	n, err := strconv.ParseUint(walFile[:8], 16, 32)
	if err != nil {
		return false, fmt.Errorf("postgres: log file %q: %w", walFile, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.newest
	if n < was {
		return false, fmt.Errorf("%w: it is on timeline %d, and timeline %d has begun", ErrStale, n, was)
	}
	t.newest = n
	return was > 0 && n > was, nil
}

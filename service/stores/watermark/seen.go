package watermark

import (
	"crypto/sha256"
	"sync"
)

// seen remembers the versions that records have reached, of those that were used last.
type seen struct {
	mu       sync.Mutex
	each     int
	now, old map[recordHash]uint64 // what is in neither is forgotten
}

// recordHash stands for an id, which may be long.
type recordHash [16]byte

// remembered is how many records a node remembers at least, about 6 MB of them.
const remembered = 1 << 17

func newSeen(each int) *seen { return &seen{each: each, now: make(map[recordHash]uint64)} }

func hashOf(id string) recordHash {
	sum := sha256.Sum256([]byte(id))
	return recordHash(sum[:16])
}

// version returns the lowest version that a record can have, or 0 if nothing is known.
func (s *seen) version(id string) uint64 {
	h := hashOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.now[h], s.old[h])
}

// note says that a record has reached a version.
func (s *seen) note(id string, version uint64) {
	h := hashOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	version = max(version, s.now[h], s.old[h])
	if _, ok := s.now[h]; !ok && len(s.now) >= s.each {
		s.old, s.now = s.now, make(map[recordHash]uint64)
	}
	s.now[h] = version
}

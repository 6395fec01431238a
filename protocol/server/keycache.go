package server

import (
	"container/list"
	"crypto/sha256"
	"sync"

	"github.com/tandem-rsa/tandem/splitkey"
)

// maxCached bounds a keyCache. A key of 2048 bits takes about 4 KiB.
const maxCached = 4096

// keyCache remembers the keys that were used last, by the hash of their blobs. A key
// never changes, so an entry is never out of date.
type keyCache struct {
	mu     sync.Mutex
	byHash map[[sha256.Size]byte]*list.Element
	recent *list.List // of cachedKey, the latest in front
}

type cachedKey struct {
	hash [sha256.Size]byte
	key  *splitkey.SoftwareKey
}

func newKeyCache() *keyCache {
	return &keyCache{byHash: make(map[[sha256.Size]byte]*list.Element), recent: list.New()}
}

func (c *keyCache) get(blob []byte) *splitkey.SoftwareKey {
	hash := sha256.Sum256(blob)
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byHash[hash]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(cachedKey).key
}

func (c *keyCache) put(blob []byte, key *splitkey.SoftwareKey) {
	hash := sha256.Sum256(blob)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHash[hash] != nil {
		return
	}
	c.byHash[hash] = c.recent.PushFront(cachedKey{hash, key})
	if c.recent.Len() > maxCached {
		oldest := c.recent.Back()
		delete(c.byHash, c.recent.Remove(oldest).(cachedKey).hash)
	}
}

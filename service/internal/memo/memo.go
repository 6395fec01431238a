// Package memo keeps what texts were parsed into, so that one that is read again and
// again is parsed once. The text is the key: what is found is what parsing would give.
package memo

import "sync"

// Memo keeps the last N texts at least, and twice as many at most. What it returns is
// shared: nobody may change what it refers to. It is safe for concurrent use.
type Memo[T any] struct {
	n             int
	mu            sync.Mutex
	recent, older map[string]T
}

// New returns a Memo of n texts.
func New[T any](n int) *Memo[T] { return &Memo[T]{n: n, recent: map[string]T{}} }

// Parse returns what parse makes of a text, or has made of it. Errors are not kept.
func (m *Memo[T]) Parse(text string, parse func(string) (T, error)) (T, error) {
	if v, ok := m.Get(text); ok {
		return v, nil
	}
	v, err := parse(text)
	if err == nil {
		m.Put(text, v)
	}
	return v, err
}

// Get returns what is kept of a text, if anything is.
func (m *Memo[T]) Get(text string) (v T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok = m.recent[text]; ok {
		return v, true
	}
	if v, ok = m.older[text]; ok {
		m.put(text, v)
	}
	return v, ok
}

// Put says what a text is parsed into, for whoever has just written it.
func (m *Memo[T]) Put(text string, v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(text, v)
}

func (m *Memo[T]) put(text string, v T) {
	if len(m.recent) >= m.n {
		m.older, m.recent = m.recent, make(map[string]T, m.n)
	}
	m.recent[text] = v
}

// All calls f with all that is kept: for tests that what it refers to did not change.
func (m *Memo[T]) All(f func(text string, v T)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, texts := range []map[string]T{m.older, m.recent} {
		for text, v := range texts {
			f(text, v)
		}
	}
}

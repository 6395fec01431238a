//go:build linux && !race

package erase_test

import (
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/erase"
	"github.com/tandem-rsa/tandem/internal/memorytest"
)

// TestStack: what a function in Do leaves on the stack is gone; what it leaves there
// without Do is found.
func TestStack(t *testing.T) {
	const size = 64
	if memorytest.IsChild() {
		secret := memorytest.Receive(t, size)
		erase.Do(func() {}) // a stack that grows later leaves an old one behind
		deep(secret)
		memorytest.Pause(t, "spilled")
		erase.Do(func() { spill(secret) })
		clear(secret)
		memorytest.Pause(t, "erased")
		return
	}
	secret := make([]byte, size)
	rand.Read(secret)
	child := memorytest.Start(t, "")
	child.Send(secret)
	child.Wait("spilled")
	require.NotEmpty(t, child.Search(map[string][]byte{"spilled": secret}))
	child.Continue()
	child.Wait("erased")
	require.Empty(t, child.Search(map[string][]byte{"spilled": secret}))
	child.Continue()
}

//go:noinline
func spill(secret []byte) {
	var frame [64]byte
	copy(frame[:], secret)
	keep(&frame)
}

// deep spills below where the frame of Do will be.
//
//go:noinline
func deep(secret []byte) {
	var frame [512]byte
	copy(frame[:], "nothing")
	spill(secret)
	fill(&frame)
}

//go:noinline
func fill(*[512]byte) {}

//go:noinline
func keep(*[64]byte) {}

package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
)

// TestWeakPINs: every rule of pinlock has a sentence of its own, and every sentence a rule.
func TestWeakPINs(t *testing.T) {
	rules := map[string]bool{}
	add := func(pin []byte) {
		var weak *pinlock.WeakPINError
		if errors.As(pinlock.CheckPIN(pin), &weak) {
			rules[weak.Rule] = true
			require.NotEmpty(t, weakPINs[weak.Rule], weak.Rule)
			require.Contains(t, explainWeak(weak.Rule), weakPINs[weak.Rule])
		}
	}
	for digits := 4; digits <= 6; digits++ {
		for n, end := 0, map[int]int{4: 1e4, 5: 1e5, 6: 1e6}[digits]; n < end; n++ {
			add(fmt.Appendf(nil, "%0*d", digits, n))
		}
	}
	add([]byte("19842580"))
	require.Len(t, rules, len(weakPINs))
}

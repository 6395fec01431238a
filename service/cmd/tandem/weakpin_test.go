package main

import (
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
)

// TestWeakPINs: every rule in the table at pinlock.CheckPIN has a sentence of its own,
// and every sentence a rule, which refuses the PIN that the sentence has for an example.
func TestWeakPINs(t *testing.T) {
	source, err := os.ReadFile(root + "/pinlock/pin.go")
	require.NoError(t, err)
	rules := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^//\t([a-z]+(?:-[a-z]+)*) {2,}`).FindAllStringSubmatch(string(source), -1) {
		if row[1] != "digits" { // the head of another table
			rules[row[1]] = true
		}
	}
	require.Greater(t, len(rules), 10)
	require.Equal(t, slices.Sorted(maps.Keys(rules)), slices.Sorted(maps.Keys(weakPINs)))
	examples := 0
	for rule, why := range weakPINs {
		require.NotEmpty(t, why)
		require.Contains(t, explainWeak(rule), why)
		if pin := regexp.MustCompile(`[0-9]{4,}`).FindString(why); pin != "" {
			examples++
			var weak *pinlock.WeakPINError
			require.True(t, errors.As(pinlock.CheckPIN([]byte(pin)), &weak), pin)
			require.Equal(t, rule, weak.Rule, pin)
		}
	}
	require.Greater(t, examples, 10)
	require.Contains(t, explainWeak("newer"), "too many people choose it")
}

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		p := newProgress(&out)
		p.done() // nothing runs
		p.step("quick")
		time.Sleep(patience - time.Millisecond)
		p.step("slow %d", 1)
		time.Sleep(patience + time.Second)
		p.done()
		require.Equal(t, "slow 1 ... 0.5 s\n", out.String())
		p.step("very slow")
		time.Sleep(21 * time.Second)
		p.done()
		require.Equal(t, "slow 1 ... 0.5 s\nvery slow ... 0.5 s\nvery slow ... 10.5 s\nvery slow ... 20.5 s\n", out.String())

		var terminal strings.Builder
		p = newProgress(&terminal)
		p.terminal = true
		p.step("slow")
		time.Sleep(2 * time.Second)
		p.done()
		require.Equal(t, "\r\x1b[Kslow ... 0.5 s\r\x1b[Kslow ... 1.5 s\r\x1b[K", terminal.String())
	})
}

// TestKinds compares the kinds of failure in the sources with those that docs/command.md
// promises.
func TestKinds(t *testing.T) {
	used := map[string]bool{}
	sources, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, file := range sources {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		text, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`failf\("(\w+)"|Kind: +"(\w+)"|f\.Kind(?:, f\.\w+)* = "(\w+)"`).FindAllStringSubmatch(string(text), -1) {
			used[m[1]+m[2]+m[3]] = true
		}
	}
	text, err := os.ReadFile("../../../docs/command.md")
	require.NoError(t, err)
	_, list, found := strings.Cut(string(text), "`kind` is one of:")
	require.True(t, found)
	list, _, found = strings.Cut(list, "\n## ")
	require.True(t, found)
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(list, -1) {
		documented[m[1]] = true
	}
	require.Equal(t, documented, used)
}

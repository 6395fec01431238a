package protocoltest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var writeCorpus = flag.Bool("write-corpus", false, "make the seeds of the fuzz targets anew, from corpus_test.go")

// Seeds are the arguments of a fuzz target, by the name of the seed.
type Seeds map[string][]any

// Variants adds to each good encoding: cut, extended, another version, and a length that
// is one too large.
func Variants(good map[string][]byte) Seeds {
	v := Seeds{"empty": {[]byte{}}}
	for name, b := range good {
		rest := strings.TrimPrefix(name, "good-")
		v[name] = []any{b}
		v["cut-"+rest] = []any{b[:len(b)/2]}
		v["one-less-"+rest] = []any{b[:len(b)-1]}
		v["one-more-"+rest] = []any{append(bytes.Clone(b), 0)}
		other := bytes.Clone(b)
		other[0]++
		v["version-"+rest] = []any{other}
	}
	return v
}

// CheckCorpora requires that each target starts from enough seeds, good and bad;
// -write-corpus makes them.
func CheckCorpora(t *testing.T, corpus map[string]Seeds) {
	for target, want := range corpus {
		folder := filepath.Join("testdata", "fuzz", target)
		if *writeCorpus {
			require.NoError(t, os.RemoveAll(folder))
			require.NoError(t, os.MkdirAll(folder, 0o755))
			for name, arguments := range want {
				text := "go test fuzz v1\n"
				for _, a := range arguments {
					switch a := a.(type) {
					case []byte:
						text += fmt.Sprintf("[]byte(%q)\n", a)
					case string:
						text += fmt.Sprintf("string(%q)\n", a)
					case byte:
						text += fmt.Sprintf("byte(%q)\n", a)
					}
				}
				require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
			}
		}
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		have := make(map[string]bool)
		for _, e := range entries {
			have[e.Name()] = true
		}
		good := 0
		for name := range want {
			require.True(t, have[name], "%s/%s: go test -run TestCorpora -write-corpus", target, name)
			if strings.HasPrefix(name, "good") {
				good++
			}
		}
		require.GreaterOrEqual(t, len(want), 4, target)
		require.Positive(t, good+strings.Count(target, "Open"), target)
	}
}

package vectors

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// counts are the exact numbers of tests: a lost one must not go unnoticed.
var counts = map[string]struct{ valid, invalid int }{
	"complete":                  {43, 266},
	"complete_composite":        {78, 618},
	"encode_pkcs1":              {120, 148},
	"encode_pss":                {180, 292},
	"key_document":              {3, 20},
	"limiter":                   {29, 131},
	"lockbox":                   {178, 115},
	"lockbox_exhaustive_4":      {10, 0},
	"lockbox_malformed":         {75, 351},
	"partial":                   {187, 80},
	"split_additive_2048":       {106, 89},
	"split_additive_3072":       {106, 89},
	"split_multiplicative_2048": {90, 74},
	"split_multiplicative_3072": {90, 74},
	"transcript":                {231, 463},
	"verification_code":         {46, 0},
	"weak_pins":                 {472, 509},
}

type file struct {
	Schema        string
	Notes         map[string]any
	NumberOfTests int
	TestGroups    []struct {
		Type              string
		Indistinguishable bool
		Tests             []struct {
			TcID   int
			Result string
			Reject *struct{ Stage, Class string }
			Flags  []string
		}
	}
}

// TestFiles: every file fits its schema, has the number of tests that it says, each under
// a number of its own, and uses exactly the flags that it explains.
func TestFiles(t *testing.T) {
	entries, err := FS.ReadDir(".")
	require.NoError(t, err)
	total, invalid, files := 0, 0, 0
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		name := strings.TrimSuffix(e.Name(), ".json")
		t.Run(name, func(t *testing.T) {
			b, err := FS.ReadFile(e.Name())
			require.NoError(t, err)
			var v any
			require.NoError(t, json.Unmarshal(b, &v))
			var f file
			require.NoError(t, json.Unmarshal(b, &f))
			require.Equal(t, "schemas", path.Dir(f.Schema))
			schema, err := FS.ReadFile(f.Schema)
			require.NoError(t, err)
			require.NoError(t, parseSchema(t, schema).check(v, name))

			ids, used := map[int]bool{}, map[string]bool{}
			n, bad := 0, 0
			for _, g := range f.TestGroups {
				classes := map[string]bool{}
				for _, test := range g.Tests {
					n++
					require.Positive(t, test.TcID)
					require.False(t, ids[test.TcID], "number %d twice", test.TcID)
					ids[test.TcID] = true
					require.Equal(t, test.Result == "invalid", test.Reject != nil, "test %d", test.TcID)
					if test.Reject != nil {
						bad++
						classes[test.Reject.Stage+" "+test.Reject.Class] = true
					} else {
						classes["valid"] = true
					}
					for _, flag := range test.Flags {
						require.Contains(t, f.Notes, flag, "test %d", test.TcID)
						used[flag] = true
					}
				}
				if g.Indistinguishable {
					require.Len(t, classes, 1, g.Type)
				}
			}
			require.Equal(t, f.NumberOfTests, n)
			require.Len(t, used, len(f.Notes), "a note for a flag that no test has")
			want, ok := counts[name]
			require.True(t, ok, "write down the number of tests: %d valid, %d invalid", n-bad, bad)
			require.Equal(t, want, struct{ valid, invalid int }{n - bad, bad})
			total, invalid, files = total+n, invalid+bad, files+1
		})
	}
	require.Equal(t, len(counts), files)
	require.GreaterOrEqual(t, total, 1500)
	require.GreaterOrEqual(t, 2*invalid, total, "at least as many invalid as valid")

	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), fmt.Sprintf("| %d,%03d [test vectors]", total/1000, total%1000))
}

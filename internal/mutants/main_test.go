package main

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTable: every mutant still has its place in the source, and there are enough of
// them.
func TestTable(t *testing.T) {
	t.Chdir("../..")
	require.GreaterOrEqual(t, len(mutants), 650)
	names := map[string]bool{}
	for _, m := range mutants {
		require.False(t, names[m.name], m.name)
		names[m.name] = true
		source, err := os.ReadFile(m.file)
		require.NoError(t, err, m.name)
		changed, err := m.apply(source)
		require.NoError(t, err, m.name)
		require.NotEqual(t, source, changed, m.name)
	}
}

// TestPart: each mutant is in exactly one part, and no part is much larger than another.
func TestPart(t *testing.T) {
	for _, s := range []string{"", "1", "1/", "/2", "-1/2", "1/0", "1/2/3", "1/2x", "a/b"} {
		_, err := parsePart(s)
		require.Error(t, err, s)
	}
	again, err := parsePart("11/4")
	require.NoError(t, err)
	require.Equal(t, part{3, 4}, again)
	parts := make([]int, 4)
	for _, m := range mutants {
		for i := range parts {
			if (part{i, 4}).has(m.name) {
				parts[i]++
			}
		}
		require.True(t, part{0, 1}.has(m.name))
	}
	sum := 0
	for _, n := range parts {
		require.InDelta(t, len(mutants)/4, n, float64(len(mutants))/16)
		sum += n
	}
	require.Equal(t, len(mutants), sum)
}

// TestRules: what each rule makes of a function.
func TestRules(t *testing.T) {
	source := []byte(`package p

func f(a, b int, s *S) (int, error) {
	defer s.Wipe()
	if a < b && !s.ok {
		clear(s.x)
	}
	for s.more() {
		a++
	}
	s.n = a + b
	a |= b
	if a == 0 {
		return 0, errZero
	}
	panic("never")
}

func (s *S) g() error { return f() }
`)
	list, err := changes("p.go", source)
	require.NoError(t, err)
	var keys []string
	for _, c := range list {
		keys = append(keys, c.key())
		changed := string(c.apply(source))
		require.NotEqual(t, string(source), changed)
		again, err := changes("p.go", []byte(changed))
		require.NoError(t, err, changed)
		require.NotEmpty(t, again)
	}
	cases, err := changes("p.go", []byte("package p\n\nfunc f(a int) int {\n\tswitch {\n\tcase a < 0:\n\t\treturn a + 1\n\t}\n\treturn 0\n}\n"))
	require.NoError(t, err)
	require.Equal(t, [2]int{5, 4}, [2]int{cases[0].line, cases[0].runs}, "a case is evaluated where its switch is")
	last := cases[len(cases)-1]
	require.Equal(t, [2]int{6, 6}, [2]int{last.line, last.runs})
	switched := string(replaced(source, []change{list[1], list[4], list[6], list[11]}, 1))
	for _, form := range []string{
		"if (mutantOn(1) && (a < b || !s.ok) || !mutantOn(1) && (a < b && !s.ok)) {",
		"if mutantOn(2) {  } else { clear(s.x) }",
		"if mutantOn(3) { a-- } else { a++ }",
		"if mutantOn(4) { return 0, nil } else { return 0, errZero }",
	} {
		require.Contains(t, switched, form)
	}
	require.Equal(t, []string{
		"p.go | f | defer s.Wipe() => _ = s.Wipe | 1",
		"p.go | f | a < b && !s.ok => a < b || !s.ok | 1",
		"p.go | f | a < b => a <= b | 1",
		"p.go | f | a < b => a >= b | 1",
		"p.go | f | clear(s.x) => nothing | 1",
		"p.go | f | s.more() => !s.more() | 1",
		"p.go | f | a++ => a-- | 1",
		"p.go | f | s.n = a + b => _ = a + b | 1",
		"p.go | f | a + b => a - b | 1",
		"p.go | f | a |= b => a &= b | 1",
		"p.go | f | a == 0 => a != 0 | 1",
		"p.go | f | return 0, errZero => return 0, nil | 1",
	}, keys)
}

// TestSample: the mutants by rule have names of their own, the draw depends on the seed
// alone, and each entry of equivalent.txt is one of them and has a reason.
func TestSample(t *testing.T) {
	t.Chdir("../..")
	list, err := allChanges()
	require.NoError(t, err)
	require.Greater(t, len(list), 3000)
	named := maps.Clone(alsoTested)
	keys := map[string]bool{}
	perTarget := map[string]int{}
	for _, c := range list {
		require.False(t, keys[c.key()], c.key())
		keys[c.key()] = true
		perTarget[targetOf(c.file).dir]++
		if perTarget[targetOf(c.file).dir]%10 == 0 { // the form in which it is built
			source, err := os.ReadFile(c.file)
			require.NoError(t, err)
			if c.unit.kind != noUnit {
				source = replaced(source, []change{c}, 1)
			} else {
				source = c.apply(source)
			}
			_, err = parser.ParseFile(token.NewFileSet(), c.file, source, 0)
			require.NoError(t, err, c.key())
		}
	}
	all, err := targets()
	require.NoError(t, err)
	require.Greater(t, len(all), 20)
	for _, target := range all {
		require.NotZero(t, perTarget[target.dir], target.dir)
		delete(named, target.dir)
		for _, dir := range target.tests {
			require.DirExists(t, dir)
		}
	}
	require.Empty(t, named, "packages without changes, or left out, that are said to be tested by others")
	for dir := range leftOut {
		require.DirExists(t, dir)
	}
	draw(list, 1)
	first := list[0]
	slices.Reverse(list)
	draw(list, 1)
	require.Equal(t, first, list[0])
	draw(list, 2)
	require.NotEqual(t, first, list[0])

	known, err := equivalents(equivalentFile)
	require.NoError(t, err)
	for key, reason := range known {
		require.True(t, keys[key], key)
		require.NotEmpty(t, reason, key)
	}
}

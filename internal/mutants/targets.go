package main

import (
	"crypto/sha256"
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A target is a package that is changed by rule, and the packages whose tests hold it.
// Its own come first; the others run on what these let pass.
type target struct {
	dir   string
	tests []string
}

// leftOut are the folders without targets, and why.
var leftOut = map[string]string{
	"bench":                       "measures",
	"examples":                    "shows",
	"vectors":                     "makes and reads test vectors",
	"hsm":                         "its tests take minutes for each mutant; its faults are in the table",
	"internal/mutants":            "this program",
	"internal/taint":              "is empty but under valgrind",
	"internal/testgate":           "judges tests",
	"service/cmd":                 "its tests run it as a process of its own",
	"splitkey/internal/contender": "keeps the other core busy while something is measured",
}

// alsoTested are the packages whose tests hold another one beside its own.
var alsoTested = map[string][]string{
	"splitkey/internal/deal":          {"splitkey"},
	"splitkey/internal/emsa":          {"splitkey"},
	"splitkey/internal/prime":         {"splitkey"},
	"internal/modexp":                 {"splitkey"},
	"internal/enum":                   {"protocol", "protocol/device", "protocol/server"},
	"internal/erase":                  {"splitkey"},
	"internal/keystock":               {"protocol/server"},
	"internal/secret":                 {"splitkey", "protocol/internal/wire"},
	"pinlock":                         {"protocol/device", "protocol/server"},
	"pinlock/limiter":                 {"pinlock/limiter/storetest", "protocol/server"},
	"protocol":                        {"protocol/server"},
	"protocol/internal/wire":          {"protocol/server", "protocol/device"},
	"protocol/device":                 {"protocol/server"},
	"protocol/server":                 {"protocol/device"},
	"protocol/server/observe":         {"protocol/server"},
	"service/identity":                {"service/ca"},
	"service/internal/pgsafe":         {"service/stores/postgres"},
	"service/rp":                      {"service/rp/rpv2", "service/rp/rpv3"},
	"service/rp/internal/fields":      {"service/rp/rpv2", "service/rp/rpv3", "service/rp/acsp"},
	"service/strictjson":              {"service/rp/rpv2", "service/rp/rpv3"},
	"service/stores/internal/checked": {"service/stores/bolt"},
}

// A package whose name ends so is there for tests only.
const forTests = "test"

// targets are the packages of the library and of the service's module.
var targets = sync.OnceValues(func() ([]target, error) {
	var out []target
	err := filepath.WalkDir(".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || dir == "." {
			return err
		}
		dir = filepath.ToSlash(dir)
		if _, left := leftOut[dir]; left || d.Name() == "testdata" || strings.ContainsAny(d.Name()[:1], "._") || strings.HasSuffix(d.Name(), forTests) {
			return fs.SkipDir
		}
		list, err := changesOf(dir)
		if err == nil && len(list) > 0 {
			out = append(out, target{dir, append([]string{dir}, alsoTested[dir]...)})
		}
		return err
	})
	return out, err
})

// generated reports whether a program wrote the file: then the program is tested, and its
// result.
func generated(source []byte) bool {
	return strings.Contains(string(source[:min(len(source), 200)]), "// Code generated ")
}

// filesOf returns the files of a package that this machine builds, without tests.
func filesOf(dir string) ([]string, error) {
	files, err := filepath.Glob(path.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, name := range files {
		dir, base := path.Split(filepath.ToSlash(name))
		ok, err := build.Default.MatchFile(dir, base)
		if err != nil {
			return nil, err
		}
		if ok && !strings.HasSuffix(base, "_test.go") {
			out = append(out, path.Join(dir, base))
		}
	}
	return out, nil
}

// changesOf returns every change of a package.
func changesOf(dir string) ([]change, error) {
	files, err := filesOf(dir)
	if err != nil {
		return nil, err
	}
	var out []change
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if generated(source) {
			continue
		}
		list, err := changes(name, source)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// allChanges returns every change of every target.
func allChanges() ([]change, error) {
	all, err := targets()
	if err != nil {
		return nil, err
	}
	var out []change
	for _, t := range all {
		list, err := changesOf(t.dir)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func targetOf(file string) target {
	all, _ := targets() // which has the file
	dir := path.Dir(file)
	return all[slices.IndexFunc(all, func(t target) bool { return t.dir == dir })]
}

// draw puts the changes into the order of a draw without replacement. It goes by the hash
// of seed and key, so that a change of the code changes little of the sample.
func draw(list []change, seed int) {
	at := make(map[string][32]byte, len(list))
	for _, c := range list {
		at[c.key()] = sha256.Sum256(fmt.Appendf(nil, "%d %s", seed, c.key()))
	}
	slices.SortFunc(list, func(a, b change) int {
		x, y := at[a.key()], at[b.key()]
		return slices.Compare(x[:], y[:])
	})
}

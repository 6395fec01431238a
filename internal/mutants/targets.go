package main

import (
	"crypto/sha256"
	"fmt"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A target is a package that is changed by rule, and the packages whose tests hold it.
// Its own come first; the others run on what these let pass.
type target struct {
	dir   string
	tests []string
}

// targets are splitkey, internal/modexp, pinlock, protocol and the stores, without what
// is there for tests only.
var targets = []target{
	{"splitkey", []string{"splitkey"}},
	{"splitkey/internal/deal", []string{"splitkey/internal/deal", "splitkey"}},
	{"splitkey/internal/emsa", []string{"splitkey/internal/emsa", "splitkey"}},
	{"internal/modexp", []string{"internal/modexp", "splitkey"}},
	{"splitkey/internal/prime", []string{"splitkey/internal/prime", "splitkey"}},
	{"pinlock", []string{"pinlock", "protocol/device", "protocol/server"}},
	{"pinlock/limiter", []string{"pinlock/limiter", "pinlock/limiter/storetest", "protocol/server"}},
	{"protocol", []string{"protocol", "protocol/server"}},
	{"protocol/internal/wire", []string{"protocol/internal/wire", "protocol/server", "protocol/device"}},
	{"protocol/device", []string{"protocol/device", "protocol/server"}},
	{"protocol/server", []string{"protocol/server", "protocol/device"}},
	{"protocol/httptransport", []string{"protocol/httptransport"}},
	{"service/stores/bolt", []string{"service/stores/bolt"}},
	{"service/stores/etcd", []string{"service/stores/etcd"}},
	{"service/stores/watermark", []string{"service/stores/watermark"}},
}

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

// allChanges returns every change of every target.
func allChanges() ([]change, error) {
	var out []change
	for _, t := range targets {
		files, err := filesOf(t.dir)
		if err != nil {
			return nil, err
		}
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
	}
	return out, nil
}

func targetOf(file string) target {
	dir := path.Dir(file)
	return targets[slices.IndexFunc(targets, func(t target) bool { return t.dir == dir })]
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

// Command gen writes the test vectors. It shares no code with the packages that the
// vectors test: it computes with math/big, from docs/scheme.md. All of its keys are
// derived from a published seed, so none of them is secret.
//
//	go run ./vectors/internal/gen -out vectors
package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// T is a JSON object, written in the order of its keys.
type T map[string]any

// file is one file of vectors.
type file struct {
	name      string
	algorithm string
	schema    string
	notes     map[string]note
	groups    []*group
	id        int
}

type group struct {
	f      *file
	fields T
	tests  []T
}

const derivation = "Every value that is called derived is SHAKE256(seed || I2OSP(len(label), 2) || label) in the length needed. " +
	"Labels: key/NAME/p and key/NAME/q for primes, FILE/TCID/FIELD for a field of a test, FILE/TCID/FIELD/COUNTER where the test has a counter. " +
	"README.md has the rule for candidates for primes, and every other construction."

func (f *file) group(kind string, fields T) *group {
	if fields == nil {
		fields = T{}
	}
	fields["type"] = kind
	fields["source"] = T{"name": "tandem", "version": vectorVersion}
	g := &group{f: f, fields: fields}
	f.groups = append(f.groups, g)
	return g
}

const vectorVersion = "1.0.0"

// add appends a test. Where values depend on its number, next has given that before.
func (g *group) add(id int, comment string, flags []string, fields T) {
	if flags == nil {
		flags = []string{}
	}
	fields["tcId"], fields["comment"], fields["flags"] = id, comment, flags
	if _, ok := fields["result"]; !ok {
		fields["result"] = "valid"
	}
	if (fields["result"] == "invalid") != (fields["reject"] != nil) {
		log.Fatalf("%s %d: an invalid test, and no other, says where it is refused", g.f.name, id)
	}
	g.tests = append(g.tests, fields)
}

// refuse marks a test as one that a stage must refuse, with the name of an error.
func refuse(fields T, stage, class string) T {
	fields["result"], fields["reject"] = "invalid", T{"stage": stage, "class": class}
	return fields
}

// next takes the number of the next test.
func (f *file) next() int { f.id++; return f.id }

// derive is a derived field of a test.
func (f *file) derive(id int, field string, n int) []byte { return stream(f.label(id, field), n) }

func (f *file) label(id int, field string) string { return fmt.Sprintf("%s/%d/%s", f.name, id, field) }

// search is derive with the first counter for which ok holds.
func (f *file) search(id int, field string, n int, ok func([]byte) bool) (b []byte, counter int) {
	for ; ; counter++ {
		if b = stream(fmt.Sprintf("%s/%d", f.label(id, field), counter), n); ok(b) {
			return b, counter
		}
	}
}

func (f *file) bytes() []byte {
	n := 0
	var groups []T
	for _, g := range f.groups {
		n += len(g.tests)
		g.fields["tests"] = g.tests
		groups = append(groups, g.fields)
	}
	if n != f.id {
		log.Fatalf("%s: %d numbers for %d tests", f.name, f.id, n)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	must(enc.Encode(T{
		"algorithm": f.algorithm, "schema": "schemas/" + f.schema + ".json",
		"vectorVersion": vectorVersion, "specVersion": "1",
		"header": []string{"Written by internal/gen. Do not edit.", "All keys are test keys, derived from a published seed.", "CC0 1.0: no rights reserved."},
		"seed":   hex.EncodeToString(seed[:]), "derivation": derivation,
		"notes": f.usedNotes(), "numberOfTests": n, "testGroups": groups,
	}))
	return out.Bytes()
}

func (f *file) count() (valid, invalid int) {
	for _, g := range f.groups {
		for _, t := range g.tests {
			if t["result"] == "valid" {
				valid++
			} else {
				invalid++
			}
		}
	}
	return
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	out := flag.String("out", "vectors", "folder to write to")
	only := flag.String("only", "", "write only this file")
	flag.Parse()
	makers := []struct {
		name string
		make func() *file
	}{
		{"split_multiplicative_2048", func() *file { return split("multiplicative", 2048) }},
		{"split_multiplicative_3072", func() *file { return split("multiplicative", 3072) }},
		{"split_additive_2048", func() *file { return split("additive", 2048) }},
		{"split_additive_3072", func() *file { return split("additive", 3072) }},
		{"encode_pkcs1", encodePKCS1},
		{"encode_pss", encodePSS},
		{"partial", partial},
		{"complete", complete},
		{"complete_composite", completeComposite},
		{"lockbox", lockbox},
		{"lockbox_exhaustive_4", lockboxExhaustive},
		{"lockbox_malformed", lockboxMalformed},
		{"weak_pins", weakPINs},
		{"limiter", limiter},
		{"verification_code", verificationCode},
		{"key_document", keyDocuments},
		{"transcript", transcript},
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var valid, invalid int
	var files []*file
	for _, m := range makers {
		if *only != "" && m.name != *only {
			continue
		}
		wg.Go(func() {
			f := m.make()
			if f.name != m.name {
				panic(f.name)
			}
			must(os.WriteFile(filepath.Join(*out, f.name+".json"), f.bytes(), 0o644))
			v, i := f.count()
			mu.Lock()
			defer mu.Unlock()
			fmt.Printf("%-28s %5d valid %5d invalid\n", f.name, v, i)
			valid, invalid, files = valid+v, invalid+i, append(files, f)
		})
	}
	wg.Wait()
	fmt.Printf("%-28s %5d valid %5d invalid in %d files\n", "total", valid, invalid, len(files))
	if *only == "" {
		checkNotes(files)
	}
}

func flags(f ...string) []string { slices.Sort(f); return f }

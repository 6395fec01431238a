// Page writes the samples of vectors/verify.html, which are tests taken from the files
// beside it, so that the page has something to show without any file:
//
//	go run ./vectors/internal/page vectors
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
)

// mark divides the page, which is written by hand, from the samples.
const mark = "<!-- samples: written by internal/page from the files beside this page; do not edit below -->\n"

// sample is some tests of one file.
type sample struct {
	file, title string
	groups      []pick
}

// pick takes the first tests of the first group of a type that has them.
type pick struct {
	kind  string
	tests int
	where func(group, test map[string]any) bool
}

func every(_, _ map[string]any) bool { return true }

var samples = []sample{
	{"complete_composite", "a composite signature (RSA-4096)", []pick{{"Complete", 2, every}, {"Wrong", 3, every}, {"Fault", 2, every}}},
	{"split_multiplicative_2048", "a key and its two shares", []pick{{"Split", 2, every}}},
	{"lockbox", "a lockbox under right and wrong PINs", []pick{{"Lockbox", 4, func(group, test map[string]any) bool {
		return group["params"].(map[string]any)["m"].(float64) > 8 && test["kdfKey"] != nil
	}}}},
	{"limiter", "nine wrong PINs", []pick{{"Limiter", 2, func(_, test map[string]any) bool { return len(test["steps"].([]any)) >= 9 }}}},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: page DIR")
	}
	name := filepath.Join(os.Args[1], "verify.html")
	page, err := os.ReadFile(name)
	if err != nil {
		log.Fatal(err)
	}
	written, err := withSamples(page, os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(name, written, 0o644); err != nil {
		log.Fatal(err)
	}
}

// withSamples replaces everything below the mark.
func withSamples(page []byte, dir string) ([]byte, error) {
	head, _, found := bytes.Cut(page, []byte(mark))
	if !found {
		return nil, fmt.Errorf("page: verify.html has no mark for its samples")
	}
	var out bytes.Buffer
	out.Write(head)
	out.WriteString(mark)
	for i, s := range samples {
		b, err := s.json(dir)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&out, "<script type=\"application/json\" id=\"sample%d\" data-file=\"%s.json\" data-title=\"%s\">%s</script>\n", i, s.file, s.title, b)
	}
	out.WriteString("</html>\n")
	return out.Bytes(), nil
}

// json is the file reduced to the picked tests. encoding/json escapes <, so that nothing
// in it can end the script element.
func (s sample) json(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, s.file+".json"))
	if err != nil {
		return nil, err
	}
	var f map[string]any
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	var groups []any
	total, flags := 0, map[string]bool{}
	for _, p := range s.groups {
		i := slices.IndexFunc(f["testGroups"].([]any), func(g any) bool { return len(p.from(g)) > 0 })
		if i < 0 {
			return nil, fmt.Errorf("page: %s.json has no tests for the sample", s.file)
		}
		g := f["testGroups"].([]any)[i]
		picked := p.from(g)
		for _, t := range picked {
			for _, flag := range t.(map[string]any)["flags"].([]any) {
				flags[flag.(string)] = true
			}
		}
		total += len(picked)
		g.(map[string]any)["tests"] = picked
		groups = append(groups, g)
	}
	f["testGroups"], f["numberOfTests"] = groups, total
	for flag := range f["notes"].(map[string]any) {
		if !flags[flag] {
			delete(f["notes"].(map[string]any), flag)
		}
	}
	return json.Marshal(f)
}

func (p pick) from(g any) (picked []any) {
	group := g.(map[string]any)
	if group["type"] != p.kind {
		return nil
	}
	for _, t := range group["tests"].([]any) {
		if len(picked) < p.tests && p.where(group, t.(map[string]any)) {
			picked = append(picked, t)
		}
	}
	return picked
}

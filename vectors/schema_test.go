package vectors

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// schema is the part of JSON Schema, draft 2020-12, that the files in schemas use.
// What it does not know, the test refuses, so that nothing is left unchecked.
type schema struct {
	root *schema
	text map[string]any
}

var keywords = []string{"$schema", "title", "$defs", "$ref", "type", "enum", "pattern", "minimum", "minItems", "items",
	"properties", "required", "additionalProperties", "oneOf"}

func parseSchema(t *testing.T, b []byte) *schema {
	s := &schema{}
	require.NoError(t, json.Unmarshal(b, &s.text))
	s.root = s
	return s
}

func (s *schema) at(v any) *schema { return &schema{s.root, v.(map[string]any)} }

// check returns the first difference between a value and the schema.
func (s *schema) check(v any, path string) error {
	bad := func(format string, a ...any) error { return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, a...)) }
	for k := range s.text {
		if !slices.Contains(keywords, k) {
			return bad("unknown keyword %s", k)
		}
	}
	if ref, ok := s.text["$ref"]; ok {
		name, ok := strings.CutPrefix(ref.(string), "#/$defs/")
		if !ok {
			return bad("unknown reference %v", ref)
		}
		return s.at(s.root.text["$defs"].(map[string]any)[name]).check(v, path)
	}
	if list, ok := s.text["enum"]; ok && !slices.ContainsFunc(list.([]any), func(e any) bool { return reflect.DeepEqual(e, v) }) {
		return bad("%v is not one of %v", v, list)
	}
	if list, ok := s.text["oneOf"]; ok {
		var errs []error
		for _, o := range list.([]any) {
			if err := s.at(o).check(v, path); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) != len(list.([]any))-1 {
			return bad("%d of %d schemas fit: %v", len(list.([]any))-len(errs), len(list.([]any)), errs)
		}
	}
	switch s.text["type"] {
	case nil:
	case "string":
		x, ok := v.(string)
		if !ok {
			return bad("not a string")
		}
		if p, ok := s.text["pattern"]; ok && !regexp.MustCompile(p.(string)).MatchString(x) {
			return bad("%.40q does not match %v", x, p)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return bad("not a boolean")
		}
	case "integer":
		x, ok := v.(float64)
		if !ok || x != float64(int64(x)) || x >= 1<<53 || x <= -1<<53 {
			return bad("not an integer below 2^53")
		}
		if m, ok := s.text["minimum"]; ok && x < m.(float64) {
			return bad("%v is less than %v", x, m)
		}
	case "array":
		x, ok := v.([]any)
		if !ok {
			return bad("not an array")
		}
		if m, ok := s.text["minItems"]; ok && len(x) < int(m.(float64)) {
			return bad("less than %v items", m)
		}
		for i, e := range x {
			if err := s.at(s.text["items"]).check(e, fmt.Sprintf("%s/%d", path, i)); err != nil {
				return err
			}
		}
	case "object":
		x, ok := v.(map[string]any)
		if !ok {
			return bad("not an object")
		}
		if list, ok := s.text["required"]; ok {
			for _, r := range list.([]any) {
				if _, ok := x[r.(string)]; !ok {
					return bad("%v is missing", r)
				}
			}
		}
		properties, _ := s.text["properties"].(map[string]any)
		for k, e := range x {
			sub, ok := properties[k]
			if !ok {
				if sub, ok = s.text["additionalProperties"].(map[string]any); !ok {
					return bad("unknown property %s", k)
				}
			}
			if err := s.at(sub).check(e, path+"/"+k); err != nil {
				return err
			}
		}
	default:
		return bad("unknown type %v", s.text["type"])
	}
	return nil
}

// TestStrictSchemas: every object of every schema forbids other properties.
func TestStrictSchemas(t *testing.T) {
	files, err := FS.ReadDir("schemas")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var walk func(path string, v any) int
	walk = func(path string, v any) (objects int) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				objects += walk(path, e)
			}
		case map[string]any:
			if v["type"] == "object" {
				objects++
				require.Contains(t, v, "additionalProperties", path)
				require.NotEqual(t, true, v["additionalProperties"], path)
			}
			for _, k := range slices.Sorted(maps.Keys(v)) {
				objects += walk(path+"/"+k, v[k])
			}
		}
		return objects
	}
	for _, f := range files {
		b, err := FS.ReadFile("schemas/" + f.Name())
		require.NoError(t, err)
		s := parseSchema(t, b)
		require.Equal(t, "https://json-schema.org/draft/2020-12/schema", s.text["$schema"], f.Name())
		require.Greater(t, walk(f.Name(), s.text), 3)
	}
}

// TestSchemaCatches: a change of every kind makes a file unfit for its schema.
func TestSchemaCatches(t *testing.T) {
	const name = "verification_code"
	schemaText, err := FS.ReadFile("schemas/" + name + ".json")
	require.NoError(t, err)
	s := parseSchema(t, schemaText)
	read := func() (top, group, test map[string]any) {
		b, err := FS.ReadFile(name + ".json")
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &top))
		group = top["testGroups"].([]any)[0].(map[string]any)
		return top, group, group["tests"].([]any)[0].(map[string]any)
	}
	top, _, _ := read()
	require.NoError(t, s.check(top, ""))
	for change, f := range map[string]func(top, group, test map[string]any){
		"unknown property of the file": func(top, _, _ map[string]any) { top["x"] = 1.0 },
		"unknown property of a group":  func(_, group, _ map[string]any) { group["x"] = 1.0 },
		"unknown property of a test":   func(_, _, test map[string]any) { test["x"] = 1.0 },
		"missing property of a test":   func(_, _, test map[string]any) { delete(test, "digest") },
		"upper-case hex":               func(_, _, test map[string]any) { test["digest"] = "AA" },
		"half a byte":                  func(_, _, test map[string]any) { test["digest"] = "a" },
		"null":                         func(_, _, test map[string]any) { test["digest"] = nil },
		"fraction":                     func(_, _, test map[string]any) { test["tcId"] = 1.5 },
		"number zero":                  func(_, _, test map[string]any) { test["tcId"] = 0.0 },
		"neither valid nor invalid":    func(_, _, test map[string]any) { test["result"] = "acceptable" },
		"no tests":                     func(_, group, _ map[string]any) { group["tests"] = []any{} },
		"a seed of another length":     func(top, _, _ map[string]any) { top["seed"] = "00" },
		"a flag that is not a string":  func(_, _, test map[string]any) { test["flags"] = []any{1.0} },
		"an object in place of a list": func(top, _, _ map[string]any) { top["testGroups"] = map[string]any{} },
		"another type of group":        func(_, group, _ map[string]any) { group["type"] = "Other" },
		"a code of three digits":       func(_, _, test map[string]any) { test["code"] = "454" },
		"a note with an unknown defect": func(top, _, _ map[string]any) {
			top["notes"].(map[string]any)["Example"].(map[string]any)["bugType"] = "BUG"
		},
	} {
		top, group, test := read()
		f(top, group, test)
		require.Error(t, s.check(top, ""), change)
	}
}

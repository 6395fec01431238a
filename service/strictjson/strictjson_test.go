package strictjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/niltest"
	"github.com/tandem-rsa/tandem/service/strictjson"
)

func TestParse(t *testing.T) {
	o, err := strictjson.Parse([]byte(" {\n\t\"a\": \"\\u00f5\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"b\" :true,\"c\":[\"x\",\"\"],\"d\":{\"e\":null},\"f\":[{\"g\":\"h\"},{}], \"n\":-1.5e+10, \"z\":0} \r\n"))
	require.NoError(t, err)
	require.Equal(t, "õ😀\"\\/\b\f\n\r\t", o.String("a", true))
	require.True(t, o.Bool("b"))
	require.Equal(t, []string{"x", ""}, o.Strings("c"))
	require.True(t, o.Has("d"))
	require.False(t, o.Object("d", true).Has("e"))
	require.Empty(t, o.Object("d", true).Names())
	require.Equal(t, "h", o.Objects("f", true)[0].String("g", true))
	require.Len(t, o.Objects("f", true), 2)
	require.Equal(t, []string{"a", "b", "c", "d", "f", "n", "z"}, o.Names())
	// What is not there.
	require.Empty(t, o.String("A", false), "another case")
	require.False(t, o.Bool("x"))
	require.Empty(t, o.Object("x", false).Object("y", false).String("z", false))
	require.Empty(t, o.Objects("x", false))
	require.Empty(t, o.Strings("x"))
	require.NoError(t, o.Err())
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 9) + "1" + strings.Repeat("}", 9)
	for body, want := range map[string]string{
		"":                                   "the body is not JSON, at byte 0",
		"[]":                                 "the body is not an object",
		"1":                                  "the body is not an object",
		"null":                               "the body is not an object",
		"{":                                  "the body is not JSON, at byte 1",
		`{"a"}`:                              "the body is not JSON, at byte 4",
		`{"a":1,}`:                           "the body is not JSON, at byte 7",
		`{"a":1 "b":2}`:                      "the body is not JSON, at byte 7",
		`{"a":[1,]}`:                         "the body is not JSON, at byte 8",
		`{"a":[1`:                            "the body is not JSON, at byte 7",
		`{a:1}`:                              "the body is not JSON, at byte 1",
		`{'a':1}`:                            "the body is not JSON, at byte 1",
		`{"a":01}`:                           "the body is not JSON, at byte 6",
		`{"a":+1}`:                           "the body is not JSON, at byte 5",
		`{"a":1.}`:                           "the body is not JSON, at byte 7",
		`{"a":.5}`:                           "the body is not JSON, at byte 5",
		`{"a":1e}`:                           "the body is not JSON, at byte 7",
		`{"a":-}`:                            "the body is not JSON, at byte 6",
		`{"a":NaN}`:                          "the body is not JSON, at byte 5",
		`{"a":tru}`:                          "the body is not JSON, at byte 5",
		`{} {}`:                              "the body is not JSON, at byte 3",
		"{}\x00":                             "the body is not JSON, at byte 2",
		"\ufeff{}":                           "the body is not JSON, at byte 0",
		"{\"a\":\"\n\"}":                     "the body is not JSON, at byte 6",
		`{"a":"\x"}`:                         "the body is not JSON, at byte 8",
		`{"a":"\u12`:                         "the body is not JSON",
		"{\"a\":\"x\n,\"b\":1}":              "the body is not JSON, at byte 7",
		`{"a":"\x,"b":1}`:                    "the body is not JSON, at byte 8",
		`{"a":"\u12"}`:                       "the body is not JSON",
		`{"a":"\u12g4"}`:                     "the body is not JSON",
		`{"a":"\ud800"}`:                     "the body is not JSON",
		`{"a":"\ud800\u0041"}`:               "the body is not JSON",
		`{"a":"\udc00\ud800"}`:               "the body is not JSON",
		`{"a":"`:                             "the body is not JSON",
		`{"a":"\`:                            "the body is not JSON",
		"{\"a\":\"\xff\"}":                   "the body is not UTF-8",
		"{\"a\":\"\xed\xa0\x80\"}":           "the body is not UTF-8",
		`{"a":1,"b":2,"a":3}`:                "/a is there twice",
		`{"a":1,"\u0061":3}`:                 "/a is there twice",
		`{"x":[{},{"a/~":1,"a/~":1}]}`:       "/x/1/a~1~0 is there twice",
		deep:                                 "/a/a/a/a/a/a/a/a is nested too deeply",
		`{"a":` + strings.Repeat("[", 50000): "/a/0/0/0/0/0/0/0 is nested too deeply",
		`{"a":"` + strings.Repeat("x", 64<<10) + `"}`: "the body has more than 64 KiB",
	} {
		_, err := strictjson.Parse([]byte(body))
		var e *strictjson.Error
		require.ErrorAs(t, err, &e, "%.40q", body)
		require.Contains(t, err.Error(), want, "%.40q", body)
	}
	_, err := strictjson.Parse([]byte(strings.Repeat(`{"a":`, 8) + "1" + strings.Repeat("}", 8)))
	require.NoError(t, err)
	_, err = strictjson.Parse([]byte(`{"a":"` + strings.Repeat("x", 64<<10-8) + `"}`))
	require.NoError(t, err)
	for _, body := range []string{`{"a":"x y ~"}`, `{"a":1e-5,"b":1E+5,"c":-0.5e05}`} {
		_, err = strictjson.Parse([]byte(body))
		require.NoError(t, err, body)
	}
	// Names in pointers have an end.
	_, err = strictjson.Parse([]byte(`{"` + strings.Repeat("õ", 1000) + `":1,"` + strings.Repeat("õ", 1000) + `":1}`))
	require.Less(t, len(err.Error()), 200)
}

func TestTypes(t *testing.T) {
	const body = `{"s":"x","b":true,"n":1,"o":{"s":"x"},"a":["x",1],"oo":[{"s":1},2],"null":null}`
	for want, read := range map[string]func(*strictjson.Object){
		"/n is not a string":        func(o *strictjson.Object) { o.String("n", false) },
		"/s is not true or false":   func(o *strictjson.Object) { o.Bool("s") },
		"/s is not an object":       func(o *strictjson.Object) { o.Object("s", false) },
		"/o is not an array":        func(o *strictjson.Object) { o.Objects("o", false) },
		"/b is not an array":        func(o *strictjson.Object) { o.Strings("b") },
		"/a/1 is not a string":      func(o *strictjson.Object) { o.Strings("a") },
		"/a/0 is not an object":     func(o *strictjson.Object) { o.Objects("a", false) },
		"/oo/1 is not an object":    func(o *strictjson.Object) { o.Objects("oo", false) },
		"/missing is missing":       func(o *strictjson.Object) { o.String("missing", true); o.String("s", true) },
		"/null is missing":          func(o *strictjson.Object) { o.String("null", true) },
		"/o/s is not true or false": func(o *strictjson.Object) { o.Object("o", true).Bool("s"); o.String("n", true) },
		"/x/y is missing":           func(o *strictjson.Object) { o.Object("x", false).Objects("y", true) },
		"/o is mine":                func(o *strictjson.Object) { o.Object("o", true).Fail("", "is mine"); o.Fail("s", "is not") },
	} {
		o, err := strictjson.Parse([]byte(body))
		require.NoError(t, err)
		require.NoError(t, o.Err())
		read(o)
		require.EqualError(t, o.Err(), "strictjson: "+want)
	}
}

func TestParseArray(t *testing.T) {
	list, err := strictjson.ParseArray([]byte(`[{"a":"b"},{}]`))
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "b", list[0].String("a", true))
	list[1].String("a", true)
	require.EqualError(t, list[0].Err(), "strictjson: /1/a is missing")
	for body, want := range map[string]string{"{}": "the body is not an array", "[{},1]": "/1 is not an object", "[": "the body is not JSON, at byte 1"} {
		_, err := strictjson.ParseArray([]byte(body))
		require.EqualError(t, err, "strictjson: "+want)
	}
	list, err = strictjson.ParseArray([]byte(`[]`))
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestCanonical(t *testing.T) {
	canonical := func(body string) string {
		o, err := strictjson.Parse([]byte(body))
		require.NoError(t, err)
		return string(o.Canonical())
	}
	require.Equal(t, `{"a":["1",1,true,false,null,{"b":1,"c":"õ"}],"z":{}}`, canonical("{\"z\":{ },\n\"a\" : [\"1\",1,true,false,null,{\"c\":\"\\u00f5\",\"b\":1}]}"))
	require.NotEqual(t, canonical(`{"a":["1"]}`), canonical(`{"a":[1]}`))
	require.NotEqual(t, canonical(`{"a":[1,2]}`), canonical(`{"a":[2,1]}`))
}

// FuzzParse: what is read encoding/json reads as the same.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, body []byte) {
		o, err := strictjson.Parse(body)
		if err != nil {
			require.ErrorAs(t, err, new(*strictjson.Error))
			return
		}
		var mine, other any
		decode := func(text []byte, out *any) {
			d := json.NewDecoder(bytes.NewReader(text))
			d.UseNumber()
			require.NoError(t, d.Decode(out))
		}
		decode(body, &other)
		decode(o.Canonical(), &mine)
		require.Equal(t, other, mine)
		again, err := strictjson.Parse(o.Canonical())
		if err != nil { // which is longer, if there are "<" in it
			require.Greater(t, len(o.Canonical()), strictjson.MaxBytes)
			return
		}
		require.True(t, bytes.Equal(o.Canonical(), again.Canonical()))
	})
}

func TestNothing(t *testing.T) {
	niltest.Check(t, niltest.Package{
		Types:     []any{(*strictjson.Error)(nil), (*strictjson.Object)(nil)},
		Functions: map[string]any{"Parse": strictjson.Parse, "ParseArray": strictjson.ParseArray, "Decode": strictjson.Decode},
	})
}

func ExampleParse() {
	o, err := strictjson.Parse([]byte(`{"name": "DEMO", "hash": 7}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	name, hash := o.String("name", true), o.String("hash", true)
	fmt.Println(name, hash, o.Err())
	// Output: DEMO  strictjson: /hash is not a string
}

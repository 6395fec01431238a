package strictjson_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/strictjson"
)

type part struct {
	Name string `json:"name"`
	Bits int    `json:"bits"`
}

type whole struct {
	On       *bool          `json:"on"`
	Name     string         `json:"name,omitempty"`
	Bits     int            `json:"bits"`
	Byte     uint8          `json:"byte"`
	Ratio    float64        `json:"ratio"`
	Key      []byte         `json:"key"`
	Words    []string       `json:"words"`
	Networks []netip.Prefix `json:"networks"`
	Part     *part          `json:"part"`
	Parts    []part         `json:"parts"`
	Years    int            // without a tag
	Hidden   int            `json:"-"`
	hidden   int
}

// TestDecode: what is read is what encoding/json reads of the same.
func TestDecode(t *testing.T) {
	const body = `{"on": false, "name": "a\u00e4", "bits": -7, "byte": 255, "ratio": 1.5e3, "key": "AQI=", "words": ["x", ""],
"networks": ["192.0.2.0/24"], "part": {"name": "p"}, "parts": [{"bits": 1}, {}], "Years": 3}`
	var got, want whole
	require.NoError(t, strictjson.Decode([]byte(body), &got))
	require.NoError(t, json.Unmarshal([]byte(body), &want))
	require.Equal(t, want, got)
	require.Zero(t, got.hidden)
	require.NoError(t, strictjson.Decode([]byte("{}"), &got))
	require.Equal(t, want, got, "what is absent stays")
}

// TestDecodeRefuses: each thing that is wrong is named by its place, and nothing changes.
func TestDecodeRefuses(t *testing.T) {
	for body, want := range map[string]string{
		``:                                  "the body is not JSON, at byte 0",
		`[]`:                                "the body is not an object",
		`{} {}`:                             "the body is not JSON, at byte 3",
		`{"name":"a","name":"a"}`:           "/name is there twice",
		`{"name":"b","nmae":"a"}`:           "/nmae is not known",
		`{"Name":"a"}`:                      "/Name is not known",
		`{"name":"a","NAME":"b"}`:           "/NAME is not known",
		`{"years":3}`:                       "/years is not known",
		`{"Hidden":3}`:                      "/Hidden is not known",
		`{"hidden":3}`:                      "/hidden is not known",
		`{"-":3}`:                           "/- is not known",
		`{"name":null}`:                     "/name is null: leave it out",
		`{"part":null}`:                     "/part is null: leave it out",
		`{"other":null}`:                    "/other is not known",
		`{"words":["a",null]}`:              "/words/1 is null: leave it out",
		`{"name":1}`:                        "/name is not a string",
		`{"on":"true"}`:                     "/on is not true or false",
		`{"bits":"1"}`:                      "/bits is not a whole number within its bounds",
		`{"bits":1.5}`:                      "/bits is not a whole number within its bounds",
		`{"byte":256}`:                      "/byte is not a whole number within its bounds",
		`{"ratio":"1"}`:                     "/ratio is not a number",
		`{"key":1}`:                         "/key is not a string in base64",
		`{"key":"?"}`:                       "/key is wrong: ",
		`{"words":"a"}`:                     "/words is not an array",
		`{"words":[1]}`:                     "/words/0 is not a string",
		`{"networks":["here"]}`:             "/networks/0 is wrong: ",
		`{"networks":[1]}`:                  "/networks/0 is not a string",
		`{"part":[]}`:                       "/part is not an object",
		`{"part":{"bits":true}}`:            "/part/bits is not a whole number within its bounds",
		`{"part":{"Bits":1}}`:               "/part/Bits is not known",
		`{"parts":{}}`:                      "/parts is not an array",
		`{"parts":[{},{"a/b":1}]}`:          "/parts/1/a~1b is not known",
		`{"parts":[{"name":"","name":""}]}`: "/parts/0/name is there twice",
	} {
		to := whole{Name: "as it was", Part: &part{Bits: 7}}
		err := strictjson.Decode([]byte(body), &to)
		var e *strictjson.Error
		require.ErrorAs(t, err, &e, body)
		require.True(t, strings.HasPrefix(err.Error(), "strictjson: "+want), "%s: %v", body, err)
		require.Equal(t, whole{Name: "as it was", Part: &part{Bits: 7}}, to, body)
	}
	var nothing *whole
	for _, to := range []any{nil, whole{}, nothing, new(int), &struct{ A map[string]int }{}, &struct{ A any }{}, &struct{ A [1]int }{}} {
		require.Error(t, strictjson.Decode([]byte(`{"A": {}}`), to))
	}
}

// Package printtest prints values in every way that Go has, to look for secrets in the
// output.
package printtest

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Hidden fails if a value shows a secret when it is printed, logged, encoded by
// reflection, put in an error, or panicked with; alone, in any, in a slice and map, and
// in unexported fields. Each value is a type by value or a pointer.
func Hidden(t testing.TB, secrets map[string][]byte, values ...any) {
	t.Helper()
	require.NotEmpty(t, secrets)
	forms := map[string]string{}
	for name, secret := range secrets {
		for _, form := range Forms(secret) {
			forms[form] = name
		}
	}
	for _, v := range values {
		for how, out := range everything(v) {
			for form, name := range forms {
				if strings.Contains(out, form) {
					t.Errorf("%T by %s shows %s", v, how, name)
				}
			}
		}
	}
}

// Forms are the ways in which the beginning of a secret is likely to be printed: a secret
// in part is a secret out.
func Forms(secret []byte) []string {
	head := secret[:min(len(secret), 12)]
	return []string{
		string(head), hex.EncodeToString(head), strings.ToUpper(hex.EncodeToString(head)),
		base64.StdEncoding.EncodeToString(secret)[:min(16, len(secret)/3*4)],
		strings.Trim(fmt.Sprint(head), "[]"), strings.ReplaceAll(strings.Trim(fmt.Sprint(head), "[]"), " ", ", "),
		strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", head), "[]byte{"), "}"),
	}
}

func everything(v any) map[string]string {
	out := map[string]string{}
	nested := map[string]any{
		"": v, " in any": []any{v}, " in a map": map[string]any{"a": v},
		" in an unexported field": struct{ v any }{v}, " in an exported field": struct{ V any }{v},
	}
	for where, v := range nested {
		for _, verb := range strings.Fields("%v %+v %#v %s %d %x %X %q %o %b %c %U %e %g %t %p %T %w") {
			out[verb+where] = fmt.Sprintf(verb, v)
		}
		out["error"+where] = errors.Join(fmt.Errorf("failed: %v %+v %s", v, v, v)).Error()
		var log, g bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v)
		out["slog"+where] = log.String()
		js, _ := json.Marshal(v)
		out["json"+where] = string(js)
		x, _ := xml.Marshal(v)
		out["xml"+where] = string(x)
		gob.NewEncoder(&g).Encode(v)
		out["gob"+where] = g.String()
		func() {
			defer func() { out["panic"+where] = fmt.Sprint(recover()) }()
			panic(v)
		}()
	}
	return out
}

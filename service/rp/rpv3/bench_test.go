package rpv3_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkParse is one body of a login, and one that is refused.
func BenchmarkParse(b *testing.B) {
	good, err := json.Marshal(body(pushLogin))
	require.NoError(b, err)
	e := endpoint(b, pushLogin)
	for name, text := range map[string][]byte{"accepted": good, "refused": append([]byte(`{"relyingPartyName":1,`), good[1:]...)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := e.Parse(text, person)
				require.Equal(b, name == "refused", err != nil)
			}
		})
	}
}

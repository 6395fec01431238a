package tandem_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConstantTimeComparisons: where MACs and tokens are compared, nothing is compared by
// bytes.Equal. How often each file compares in constant time is counted, so that a
// comparison by other means is noticed.
func TestConstantTimeComparisons(t *testing.T) {
	constant := regexp.MustCompile(`(hmac\.Equal|subtle\.ConstantTimeCompare)\(`)
	for file, count := range map[string]int{
		"protocol/internal/wire/request.go":   1,
		"protocol/internal/wire/challenge.go": 2,
		"protocol/server/decide.go":           1,
		"protocol/device/sign.go":             1,
	} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(source), "bytes.Equal(", file)
		require.Len(t, constant.FindAll(source, -1), count, file)
	}
}

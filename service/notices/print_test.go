package notices_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/service/notices"
)

// TestNothingPrinted: what a webhook signs with reaches no printer.
func TestNothingPrinted(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	hook, err := notices.NewWebhook("https://tree.example/notices", key, nil)
	require.NoError(t, err)
	printtest.Hidden(t, map[string][]byte{"key": key}, hook, *hook, struct{ w notices.Webhook }{*hook})
}

package deviceclient_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/deviceclient"
)

// TestNothingPrinted: PINs are not in logs, nor in JSON, which has bytes in base64.
func TestNothingPrinted(t *testing.T) {
	pin, hidden := []byte("803517"), "ODAzNTE3"
	for _, v := range []any{deviceclient.PINs{Authentication: pin, Signature: pin}, &deviceclient.PINs{Authentication: pin}} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("value", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("value", "v", v)
		shown := fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, v, v, v) + string(text) + log.String()
		require.NotContains(t, shown, hidden)
		require.NotContains(t, shown, string(pin))
	}
}

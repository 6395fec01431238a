package accounts_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/accounts"
)

// TestNothingPrinted: codes that are shown once are not in logs, nor in JSON.
func TestNothingPrinted(t *testing.T) {
	const hidden = "7TRE-0A1B-9XYZ"
	for _, v := range []any{
		accounts.Registered{Code: hidden}, &accounts.Registered{Code: hidden},
		accounts.Opened{RevocationCode: hidden}, &accounts.Opened{RevocationCode: hidden},
	} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("value", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("value", "v", v)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, v, v, v)+string(text)+log.String(), hidden)
	}
}

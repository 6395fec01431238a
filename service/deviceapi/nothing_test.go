package deviceapi_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/service/deviceapi"
)

// TestNothing: what is made of nothing is refused, and does nothing.
func TestNothing(t *testing.T) {
	_, err := deviceapi.NewHandler(deviceapi.Config{})
	require.ErrorIs(t, err, deviceapi.ErrConfig)
	for _, h := range []*deviceapi.Handler{nil, {}} {
		h.Close()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/account", nil))
		require.Equal(t, 500, w.Code)
	}
}

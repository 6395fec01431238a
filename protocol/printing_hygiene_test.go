package protocol

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/printtest"
)

// TestNothingEncoded is TestNothingPrintsSecrets for all the other ways in which a value gets out: logs as
// JSON, encoders that work by reflection, panics.
func TestNothingEncoded(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	st, err := parseDeviceState(p.state.data, nil)
	require.NoError(t, err)
	secretKey := []byte("a key of 32 bytes, that is known")
	sealer, err := NewSoftwareSealer(secretKey)
	require.NoError(t, err)
	key := newSecret(secretKey)
	challenges, err := newChallengeKey(secretKey)
	require.NoError(t, err)
	private, err := s.config.HPKE.Current.Bytes()
	require.NoError(t, err)
	pin := []byte("839517264083")
	_, share := testShares()
	pooled, err := newServerKey(2048)
	require.NoError(t, err)
	encoded := share.Bytes()
	printtest.Hidden(t, map[string][]byte{
		"d_s": encoded[len(encoded)-32:], "the share": encoded[300:332], "the server's own key": pooled.blob()[100:140],
		"the key": secretKey, "K_dev": bytes.Clone(st.key.authKey.bytes()), "the HPKE key": private, "the PIN": pin,
	},
		sealer, *sealer, key, challenges, &challenges, reply{secret: key}, s.Server,
		enrollment{share: hide(encoded), authKey: key}, &enrollment{share: hide(encoded), authKey: key}, pooled, &pooled)

	// What a caller fills in is in plain fields. It is not logged by mistake, as text or as JSON.
	for _, v := range []any{Config{ChallengeKey: pin, HPKE: s.config.HPKE}, &Config{ChallengeKey: pin}, s.config.HPKE, &s.config.HPKE, EnrollOptions{PIN: pin}, &EnrollOptions{PIN: pin}, DeviceConfig{StorageKey: pin}, &DeviceConfig{StorageKey: pin}} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v)
		for _, form := range append(printtest.Forms(pin), printtest.Forms(private)...) {
			require.NotContains(t, log.String(), form)
		}
	}
}

package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/printtest"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestNothingEncoded is TestNothingPrintsSecrets for all the other ways in which a value
// gets out: logs as JSON, encoders that work by reflection, panics.
func TestNothingEncoded(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	st, err := protocoltest.ParseState(p.state.Data)
	require.NoError(t, err)
	secretKey := []byte("a key of 32 bytes, that is known")
	sealer, err := NewSoftwareSealer(secretKey)
	require.NoError(t, err)
	key := wire.NewSecret(secretKey)
	challenges, err := wire.NewChallengeKey(secretKey)
	require.NoError(t, err)
	private, err := s.config.HPKE.Current.Bytes()
	require.NoError(t, err)
	pin := []byte("839517264083")
	_, share := protocoltest.Shares()
	pooled, err := newServerKey(2048)
	require.NoError(t, err)
	encoded := share.Bytes()
	enrolled := wire.Enrollment{Share: secret.Own(encoded), Body: secret.Own(encoded), AuthKey: key}
	printtest.Hidden(t, map[string][]byte{
		"d_s": encoded[len(encoded)-32:], "the share": encoded[300:332], "the server key": pooled.blob.Get()[100:140],
		"the key": secretKey, "K_dev": bytes.Clone(st.Key.AuthKey.Get()), "the HPKE key": private, "the PIN": pin,
	},
		sealer, *sealer, key, challenges, &challenges, wire.ResponseKey{Secret: key}, s.Server,
		enrolled, &enrolled, wire.Request{Token: key}, pooled, &pooled)

	// What a caller fills in is in plain fields. It is not logged by mistake, as text or
	// as JSON.
	for _, v := range []any{Config{ChallengeKey: pin, HPKE: s.config.HPKE}, &Config{ChallengeKey: pin}, s.config.HPKE, &s.config.HPKE, device.EnrollOptions{PIN: pin}, &device.EnrollOptions{PIN: pin}, device.Config{StorageKey: pin}, &device.Config{StorageKey: pin}} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", v)
		for _, form := range append(printtest.Forms(pin), printtest.Forms(private)...) {
			require.NotContains(t, log.String(), form)
		}
	}
}

// TestNothingPrintsSecrets: no verb shows a secret of any type of this package, or of
// what travels.
func TestNothingPrintsSecrets(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	st, err := protocoltest.ParseState(p.state.Data)
	require.NoError(t, err)
	sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{0xa5}, 32))
	require.NoError(t, err)
	key := wire.NewSecret(bytes.Repeat([]byte{0xa5}, 32))
	x := bytes.Repeat([]byte{0xa5}, 32)
	challenges, err := wire.NewChallengeKey(x)
	require.NoError(t, err)
	private, err := s.config.HPKE.Current.Bytes()
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%d", "%s", "%q"} {
		for _, value := range []any{
			sealer, *sealer, key, challenges, &challenges, wire.ResponseKey{Secret: key}, wire.Request{Partials: [][]byte{x}, Token: key},
			secrets{share: x}, Config{ChallengeKey: x}, s.config.HPKE, s.Server, *s.Server,
			struct{ k wire.Secret }{key}, struct{ s *Server }{s.Server}, struct{ s SoftwareSealer }{*sealer}, struct{ c wire.ChallengeKey }{challenges},
		} {
			text := []byte(fmt.Sprintf(verb, value))
			require.False(t, protocoltest.Contains(text, x), "%s of %T: %s", verb, value, text)
			require.NotContains(t, string(text), "165 165 165")
			require.False(t, protocoltest.Contains(text, st.Key.AuthKey.Get()))
			require.False(t, protocoltest.Contains(text, private))
		}
	}
}

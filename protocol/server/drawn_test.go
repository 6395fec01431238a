package server

import (
	"bytes"
	"context"
	"crypto"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// TestDrawnAnew: ids, secrets, challenges of one moment and the salts of two answers to
// one request are different each time.
func TestDrawnAnew(t *testing.T) {
	s := newService(t)
	seen := map[string]bool{}
	fresh := func(what string, b []byte) {
		require.False(t, seen[string(b)], what)
		require.NotEqual(t, make([]byte, len(b)), b, what)
		seen[string(b)] = true
	}
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	request, _, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
	require.NoError(t, err)
	for range 3 {
		id, raw, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		fresh("key id", id[:])
		fresh("challenge", raw[34:50])
		fresh("secret", wire.DrawSecret().Get())
		response, err := s.Handle(t.Context(), request)
		require.NoError(t, err)
		fresh("salt of a response", response[1:1+32])
	}
}

// TestChallengeLifeIsTheConfigs for each kind of challenge, and the new key waits as long
// as the configuration says.
func TestChallengeLifeIsTheConfigs(t *testing.T) {
	s := newService(t, func(c *Config) { c.ChallengeLife, c.PendingLife = 77*time.Second, 2*time.Hour })
	id, enrol, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	sign, err := s.ChallengeSign(t.Context(), id, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	for _, raw := range [][]byte{enrol, sign, mustChallenge(t, s, id)} {
		c, err := wire.ParseChallenge(raw)
		require.NoError(t, err)
		require.Equal(t, s.clock.Now().UnixMilli(), c.Issued)
		require.Equal(t, c.Issued+77_000, c.Expires)
		require.Equal(t, id, c.KeyID)
	}
	p := newPhone(t, s, nil)
	p.enroll(t)
	status, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.Equal(t, s.clock.Now(), status.Enrolled)
	require.Equal(t, s.clock.Now().Add(2*time.Hour), status.ConfirmBy)
}

// TestServerKeepsItsOwn: what a caller does with a configuration, or with a key that he
// was given, changes nothing.
func TestServerKeepsItsOwn(t *testing.T) {
	s := newService(t)
	s.config.Policy = slices.Clone(s.config.Policy)
	s.Server = s.node(t)
	p := newReadyPhone(t, s)
	s.config.Policy[0].Tries = 1
	clear(s.config.ChallengeKey[:0])
	clear(s.HPKEKey())
	_, err := p.sign(t, "x", protocoltest.WrongPIN)
	require.Error(t, err)
	status, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.Equal(t, 2, status.Attempts.Remaining)
	require.Equal(t, s.config.HPKE.Current.PublicKey().Bytes(), s.HPKEKey())
}

// keepingSealer keeps the slices that it was given.
type keepingSealer struct {
	Sealer
	given [][]byte
}

func (k *keepingSealer) Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error) {
	k.given = append(k.given, plaintext)
	return k.Sealer.Seal(ctx, aad, plaintext)
}

// TestEnrolmentIsWiped: K_dev and the record key are gone from where they were sealed,
// and the blob of a key that is not what it should be as well.
func TestEnrolmentIsWiped(t *testing.T) {
	sealer := new(keepingSealer)
	s := newService(t, func(c *Config) { sealer.Sealer, c.Sealer = c.Sealer, sealer })
	newPhone(t, s, nil).enroll(t)
	require.Len(t, sealer.given, 1)
	for _, b := range sealer.given {
		require.Equal(t, make([]byte, len(b)), b)
	}
	key, err := protocoltest.FixedServerKey()
	require.NoError(t, err)
	blob := bytes.Repeat([]byte{1}, maxBlob+1)
	s = newService(t, func(c *Config) {
		c.Keys = drawnKeys{c.Keys, func() (splitkey.RSAKey, []byte, error) { return key, blob, nil }}
	})
	client, server := protocoltest.Shares()
	err = newPhone(t, s, nil).Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.Equal(t, make([]byte, maxBlob+1), blob)
}

// TestDrawnServerKeyIsWiped: a key that was drawn for an enrolment is gone when that is
// over, whatever came of it. The source finds it again.
func TestDrawnServerKeyIsWiped(t *testing.T) {
	for name, c := range map[string]struct {
		blob []byte
		want error
	}{
		"not as promised": {nil, device.ErrUnanswered}, "enrolled": {[]byte("fixed"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := protocoltest.FixedServerKey()
			require.NoError(t, err)
			require.NotEmpty(t, key.Bytes())
			s := newService(t, func(config *Config) {
				config.Keys = drawnKeys{config.Keys, func() (splitkey.RSAKey, []byte, error) { return key, c.blob, nil }}
			})
			client, server := protocoltest.Shares()
			p := newPhone(t, s, nil)
			err = p.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server})
			require.ErrorIs(t, err, c.want)
			require.Empty(t, key.Bytes())
			if err == nil {
				require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
			}
		})
	}
}

// TestKeyPoolWipes what nobody took.
func TestKeyPoolWipes(t *testing.T) {
	key, err := protocoltest.FixedServerKey()
	require.NoError(t, err)
	blob := []byte("private key")
	drawn := make(chan bool, 3)
	pool := newKeyPool(2048, 1, func(ctx context.Context) (pooledKey, error) {
		drawn <- true
		if len(drawn) > 1 { // the first one is in the pool
			<-ctx.Done()
			return pooledKey{}, ctx.Err()
		}
		return pooledKey{key, secret.Own(blob)}, nil
	})
	require.Eventually(t, func() bool { return len(drawn) == 2 }, time.Minute, time.Millisecond)
	pool.Close()
	require.Empty(t, key.Bytes())
	require.Equal(t, make([]byte, len(blob)), blob)
}

// TestKeyCache: a key is loaded once, and the one that was used last stays longest.
func TestKeyCache(t *testing.T) {
	pool, err := NewKeyPool(2048, 0)
	require.NoError(t, err)
	_, blob, err := pool.NewKey(t.Context())
	require.NoError(t, err)
	first, err := pool.LoadKey(t.Context(), blob)
	require.NoError(t, err)
	second, err := pool.LoadKey(t.Context(), blob)
	require.NoError(t, err)
	require.Same(t, first, second)

	key, err := protocoltest.FixedServerKey()
	require.NoError(t, err)
	c := newKeyCache()
	name := func(i int) []byte { return []byte{byte(i), byte(i >> 8)} }
	for i := range maxCached {
		c.put(name(i), key)
	}
	require.NotNil(t, c.get(name(0)))
	c.put(name(maxCached), key)
	require.NotNil(t, c.get(name(0)), "it was used")
	require.Nil(t, c.get(name(1)))
	require.Len(t, c.byHash, maxCached)
	require.Equal(t, maxCached, c.recent.Len())
}

package device

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// seenStorage remembers the very bytes that it was given to save, and that it gave out.
type seenStorage struct {
	Storage
	saved, loaded [][]byte
}

func (s *seenStorage) Load() ([]byte, error) {
	data, err := s.Storage.Load()
	s.loaded = append(s.loaded, data)
	return data, err
}

func (s *seenStorage) Save(data []byte) error {
	s.saved = append(s.saved, data)
	return s.Storage.Save(data)
}

// TestSecretsAreWiped: when an operation has ended nothing is left of K_dev, the tokens
// and the response keys that it read or made, nor of what it loaded and saved.
func TestSecretsAreWiped(t *testing.T) {
	s := newService(t)
	lost := func(context.Context, []byte) ([]byte, error) { return nil, protocoltest.ErrLost }
	p := newPhone(t, s, lost)
	storage := &seenStorage{Storage: p.state}
	p.config.Storage = storage
	var secrets []wire.Secret
	operate := func(f func(*state) error) {
		st, err := p.open(t.Context())
		require.NoError(t, err)
		if st.key != nil {
			secrets = append(secrets, st.key.authKey, st.key.token)
		}
		require.NoError(t, f(st))
		secrets = append(secrets, st.key.authKey, st.key.token, st.pending.next, st.pending.secret)
		for _, x := range secrets[len(secrets)-4:] {
			require.Len(t, x.Get(), wire.SecretSize)
		}
		st.close()
		for i, x := range secrets {
			require.Nil(t, x.Get(), i)
		}
	}
	c, err := wire.ParseChallenge(mustEnrollChallenge(t, s))
	require.NoError(t, err)
	client, server := protocoltest.Shares()
	operate(func(st *state) error {
		if err := p.beginEnrollment(st, c, EnrollOptions{PIN: protocoltest.RightPIN, Client: client, Server: server}); err != nil {
			return err
		}
		return p.save(st)
	})
	operate(func(*state) error { return nil })
	p.config.Transport = s.Handle
	_, err = p.Resume(t.Context())
	require.NoError(t, err)
	p.config.Transport = lost
	operate(func(st *state) error {
		_, err := p.begin(t.Context(), st, &operation{op: protocol.OpConfirm, pin: protocoltest.RightPIN}, st.key.challenge)
		require.ErrorIs(t, err, ErrUnanswered)
		return nil
	})
	require.Len(t, storage.saved, 3)
	require.Nil(t, storage.loaded[0])
	require.Greater(t, len(storage.loaded), 3)
	for _, data := range append(storage.saved, storage.loaded[1:]...) {
		require.NotEmpty(t, data)
		require.Equal(t, make([]byte, len(data)), data)
	}
}

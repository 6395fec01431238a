package server

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestSealedIsNoShare: what is under a record's seal and is no share, or a share with
// something that is no server key, makes no signature.
func TestSealedIsNoShare(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	rec := loadRecord(t, s, p.id)
	keys, err := openDeviceSecrets(t.Context(), s.config.Sealer, authKeyAAD(p.id), rec.sealedKey)
	require.NoError(t, err)
	plaintext, err := keys.openShare(rec.sealedShare)
	require.NoError(t, err)
	good, err := parseSecrets(plaintext)
	require.NoError(t, err)
	require.NotEmpty(t, good.serverKey)
	require.NotEmpty(t, good.precomputed)
	restore := func(s *Server, plaintext []byte) (*trial, error) {
		rec := loadRecord(t, newServiceOf(s), p.id)
		rec.sealedShare, err = keys.sealShare(plaintext)
		require.NoError(t, err)
		tr := &trial{server: s, id: p.id, secrets: keys}
		return tr, tr.restore(t.Context(), rec)
	}
	tr, err := restore(s.Server, plaintext)
	require.NoError(t, err)
	require.NoError(t, tr.restore(t.Context(), &record{}), "once is enough")
	for name, c := range map[string]struct {
		sec    secrets
		record bool // the error is ErrRecord
	}{
		"share":       {secrets{[]byte("none"), good.serverKey, good.precomputed}, true},
		"server key":  {secrets{good.share, []byte("none"), good.precomputed}, false},
		"precomputed": {secrets{good.share, good.serverKey, []byte("none")}, true},
		"two-prime":   {secrets{good.share, nil, nil}, true}, // another final key
	} {
		encoded, err := c.sec.encode()
		require.NoError(t, err)
		tr, err := restore(s.Server, encoded)
		require.Error(t, err, name)
		require.Equal(t, c.record, errors.Is(err, ErrRecord), name)
		require.Nil(t, tr.completer, name)
	}
	for n := range plaintext {
		if n%61 == 0 || n > len(plaintext)-4 {
			_, err = restore(s.Server, plaintext[:n])
			require.ErrorIs(t, err, ErrRecord)
		}
	}
	tr, err = restore(s.node(t, func(c *Config) { c.Keys = nil }), plaintext)
	require.ErrorContains(t, err, "needs a KeySource")
	authKey, recordKey := keys.authKey.Get(), keys.recordKey.Get()
	require.False(t, wire.AllZero(authKey) || wire.AllZero(recordKey))
	tr.wipe()
	require.True(t, wire.AllZero(authKey) && wire.AllZero(recordKey))
}

// newServiceOf is the service of a node, as far as loadRecord asks.
func newServiceOf(s *Server) *service { return &service{Server: s, store: s.config.Store} }

// TestAuthenticationKeyOfAnotherLength: a record with one authenticates nobody.
func TestAuthenticationKeyOfAnotherLength(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	for _, n := range []int{0, 32, 63, 65} {
		rec := loadRecord(t, s, p.id)
		var err error
		rec.sealedKey, err = s.config.Sealer.Seal(t.Context(), authKeyAAD(p.id), make([]byte, n))
		require.NoError(t, err)
		tr := &trial{server: s.Server, id: p.id}
		err = tr.authenticate(t.Context(), rec)
		require.ErrorIs(t, err, ErrRecord)
		require.ErrorIs(t, err, errInternal)
		require.False(t, tr.authenticated)
	}
}

// lossyStore is a store that says of a record that it is there, or was written, and does
// not have it.
type lossyStore struct {
	limiter.Store
	prefix string
	create error
}

func (l *lossyStore) Create(ctx context.Context, id string, value []byte) error {
	if failsFor(l.prefix, errors.New("lost"))(id) != nil {
		return l.create
	}
	return l.Store.Create(ctx, id, value)
}

// TestStoreThatLoses: nobody is enrolled, nor told to be, where the store does not have
// what it says that it has.
func TestStoreThatLoses(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		create error
		logged string
	}{
		"a mark that is there":        {"spent/", limiter.ErrConflict, "the store lost a spent challenge"},
		"a record that was written":   {"key/", nil, "the store lost a new record"},
		"a reservation that is there": {"n1/", limiter.ErrConflict, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t, func(config *Config) { config.Store = &lossyStore{config.Store, c.prefix, c.create} })
			id, challenge, err := s.ChallengeEnroll(t.Context())
			require.NoError(t, err)
			_, server := protocoltest.Shares()
			request, key, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
			require.NoError(t, err)
			a := deliver(t, s.Server, request, key)
			if c.logged == "" {
				require.Equal(t, wire.RefusedEnrolled, a.Refusal)
			} else {
				require.Equal(t, wire.CodeLater, a.Code)
				require.Contains(t, s.logged(), c.logged)
			}
			_, err = s.Status(t.Context(), id)
			require.ErrorIs(t, err, ErrUnknownKey)
		})
	}
}

// TestSpentAtOnce: what a node hears that marks a challenge as spent after another one
// did.
func TestSpentAtOnce(t *testing.T) {
	s := newService(t)
	id, request := protocol.KeyID{1}, wire.Hash{1}
	a, err := s.spend(t.Context(), id, request)
	require.NoError(t, err)
	require.Nil(t, a)
	_, err = s.spend(t.Context(), id, request)
	require.ErrorIs(t, err, errSpent)
	_, err = s.spend(t.Context(), id, wire.Hash{2})
	require.ErrorIs(t, err, errChallenge)
	require.ErrorIs(t, err, protocol.ErrMalformed)
	_, err = s.refuseSpent(t.Context(), id, request, wire.RefusedFactor)
	require.NoError(t, err)
	a, err = s.spend(t.Context(), id, request)
	require.NoError(t, err)
	require.Equal(t, wire.RefusedFactor, a.Refusal)
	_, err = s.refuseSpent(t.Context(), protocol.KeyID{2}, request, wire.RefusedFactor)
	require.ErrorIs(t, err, limiter.ErrNotFound)
	broken := errors.New("broken")
	node := s.node(t, func(c *Config) {
		c.Store = &protocoltest.FailingStore{Store: c.Store, Fails: failsFor("spent/", broken)}
	})
	_, err = node.spend(t.Context(), protocol.KeyID{3}, request)
	require.ErrorIs(t, err, broken)
}

// TestReservationCannotBeTold: a reservation that cannot be read, or be judged for want
// of a clock, is an error, and nobody's.
func TestReservationCannotBeTold(t *testing.T) {
	s := newService(t)
	newPhone(t, s, nil).enroll(t)
	_, share := protocoltest.Shares()
	index, id := indexID(share), protocol.KeyID{1}
	now, err := s.now()
	require.NoError(t, err)
	node := s.node(t, func(c *Config) { c.Store = &unreadable{c.Store, "n1/"} })
	ours, err := node.reserve(t.Context(), index, id, now)
	require.ErrorContains(t, err, "unreadable")
	require.False(t, ours)
	node = s.node(t, func(c *Config) { c.Store = &unreadable{c.Store, "key/"} })
	ours, err = node.reserve(t.Context(), index, id, now)
	require.ErrorContains(t, err, "unreadable")
	require.False(t, ours)
	node = s.node(t, func(c *Config) { c.Clock = func() time.Time { return time.UnixMilli(-1) } })
	ours, err = node.reserve(t.Context(), index, id, now)
	require.Error(t, err)
	require.False(t, ours)
	taken, err := node.taken(t.Context(), index, id, now)
	require.Error(t, err)
	require.True(t, taken, "not free")

	whole, _, err := s.store.Load(t.Context(), index)
	require.NoError(t, err)
	for _, value := range [][]byte{nil, whole[1:], append(bytes.Clone(whole), 0), append([]byte{wire.Version + 1}, whole[1:]...)} {
		_, version, err := s.store.Load(t.Context(), index)
		require.NoError(t, err)
		require.NoError(t, s.store.Swap(t.Context(), index, version, value))
		_, _, err = s.owner(t.Context(), index)
		require.ErrorIs(t, err, ErrRecord)
		ours, err = s.reserve(t.Context(), index, id, now)
		require.ErrorIs(t, err, ErrRecord)
		require.False(t, ours)
	}
}

// TestNobodysKeyIsRenewed: what an unknown key is tried with is sealed anew once its
// sealing key was retired, and a sealer that is away changes nothing.
func TestNobodysKeyIsRenewed(t *testing.T) {
	sealer := func(b byte) *SoftwareSealer {
		sealer, err := NewSoftwareSealer(bytes.Repeat([]byte{b}, SealerKeySize))
		require.NoError(t, err)
		return sealer
	}
	away := &failingSealer{Sealer: sealer(1)}
	s := newService(t, func(c *Config) { c.Sealer = away })
	request := forge(t, s, protocol.KeyID{9}, protocol.KeyID{9}, protocol.OpRefresh, wire.DrawSecret())
	ask := func() *[]byte {
		_, err := s.Handle(t.Context(), request)
		require.ErrorIs(t, err, ErrRefused)
		return s.nobody.Load()
	}
	require.Nil(t, ask())
	away.seals = 99
	first := ask()
	require.NotNil(t, first)
	require.Same(t, first, ask())
	away.Sealer = sealer(2)
	require.Nil(t, ask())
	second := ask()
	require.NotNil(t, second)
	_, err := sealer(2).Open(t.Context(), nobodyAAD, *second)
	require.NoError(t, err)
}

// TestPoolTakesWhatIsReady: a key that is ready is given to whoever has left meanwhile as
// well, and none is made for him.
func TestPoolTakesWhatIsReady(t *testing.T) {
	fixed, err := protocoltest.FixedServerKey()
	require.NoError(t, err)
	one := make(chan pooledKey, 1)
	one <- pooledKey{key: fixed}
	pool := newKeyPool(2048, 1, func(ctx context.Context) (pooledKey, error) {
		select {
		case k := <-one:
			return k, nil
		case <-ctx.Done():
			return pooledKey{}, ctx.Err()
		}
	})
	t.Cleanup(pool.Close)
	left, leave := context.WithCancel(t.Context())
	leave()
	require.Eventually(t, func() bool {
		key, _, err := pool.NewKey(left)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.Nil(t, key)
			return false
		}
		require.Same(t, fixed, key)
		return true
	}, time.Minute, time.Millisecond)
	_, _, err = pool.NewKey(left)
	require.ErrorIs(t, err, context.Canceled)
}

// TestSinkDownForTheService: what the service asks for by itself says that the sink is
// down.
func TestSinkDownForTheService(t *testing.T) {
	down := &sink{}
	s := newService(t, func(c *Config) { c.Audit = down })
	p := newReadyPhone(t, s)
	down.fails = true
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	require.NotEmpty(t, loadRecord(t, s, p.id).events)
	require.ErrorIs(t, s.DeliverEvents(t.Context(), p.id), errSinkFull)
	require.ErrorIs(t, s.Recover(t.Context(), p.id, Recovery{Began: s.clock.Now(), TriesLeft: -1}), errSinkFull)
	require.Zero(t, loadRecord(t, s, p.id).recovered)
	down.fails = false
	require.NoError(t, s.DeliverEvents(t.Context(), p.id))
	require.Empty(t, loadRecord(t, s, p.id).events)
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrNothingPending)
}

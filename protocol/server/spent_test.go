package server

import (
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// countingKeys counts the keys that were asked for.
type countingKeys struct {
	KeySource
	drawn  atomic.Int64
	before func() // called ahead of each draw
}

func (c *countingKeys) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	c.drawn.Add(1)
	if c.before != nil {
		c.before()
	}
	return c.KeySource.NewKey(ctx)
}

// countKeys has a service's keys counted.
func countKeys(c *countingKeys) func(*Config) {
	return func(config *Config) { c.KeySource, config.Keys = config.Keys, c }
}

var two = big.NewInt(2)

// TestOneChallengeOneKey: one challenge takes one server key and enrols one key, with
// whatever many moduli it is sent at once, to whatever nodes.
func TestOneChallengeOneKey(t *testing.T) {
	keys := new(countingKeys)
	s := newService(t, countKeys(keys))
	// The first draw waits until all requests have looked at the store.
	const copies = 8
	var looked sync.WaitGroup
	looked.Add(copies)
	store := &onFirstLoad{Store: s.store, do: looked.Done, prefix: "key/"}
	keys.before = looked.Wait
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	n := rough(t, smallestFit())
	codes := make([]wire.Code, copies)
	var group sync.WaitGroup
	for i := range copies {
		n = rough(t, n.Add(n, two))
		plaintext := protocoltest.EnrollmentOf(t, challenge, shareFor(t, n))
		node := s.node(t, func(c *Config) { c.Store = store.handle() })
		group.Go(func() {
			request, r, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, plaintext)
			require.NoError(t, err)
			response, err := node.Handle(t.Context(), request)
			if err != nil {
				return // another one has the challenge
			}
			opened, err := r.Open(response)
			require.NoError(t, err)
			a, err := wire.ParseAnswer(opened)
			require.NoError(t, err)
			codes[i] = a.Code
		})
	}
	group.Wait()
	require.EqualValues(t, 1, keys.drawn.Load())
	enrolled := 0
	for _, c := range codes {
		if c != 0 {
			require.Equal(t, wire.CodeEnrolled, c)
			enrolled++
		}
	}
	require.Equal(t, 1, enrolled)
	require.Equal(t, 3, len(s.stored()), "one mark, one reservation, one record")
}

// onFirstLoad tells when each of its handles was asked for a record for the first time.
type onFirstLoad struct {
	limiter.Store
	do     func()
	prefix string
	once   sync.Once
}

func (o *onFirstLoad) handle() *onFirstLoad {
	return &onFirstLoad{Store: o.Store, do: o.do, prefix: o.prefix}
}

func (o *onFirstLoad) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	value, version, err := o.Store.Load(ctx, id)
	if id[:len(o.prefix)] == o.prefix {
		o.once.Do(o.do)
	}
	return value, version, err
}

// TestUnfinishedEnrolment: whatever fails after the challenge was spent, no second key is
// drawn for it, on any node; the device is told to come again, until the challenge has
// expired, and then starts over.
func TestUnfinishedEnrolment(t *testing.T) {
	broken := errors.New("broken")
	key, err := protocoltest.FixedServerKey()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		create func(id string) error // of the store
		draw   func() (splitkey.RSAKey, []byte, error)
		seals  int // that take place
		drawn  int64
	}{
		"store, at the reservation": {create: failsFor("n1/", broken), seals: 9},
		"store, at the record":      {create: failsFor("key/", broken), seals: 9, drawn: 1},
		"source":                    {draw: func() (splitkey.RSAKey, []byte, error) { return nil, nil, broken }, seals: 9, drawn: 1},
		"no blob":                   {draw: func() (splitkey.RSAKey, []byte, error) { return key, nil, nil }, seals: 9, drawn: 1},
		"blob too long":             {draw: func() (splitkey.RSAKey, []byte, error) { return key, make([]byte, maxBlob+1), nil }, seals: 9, drawn: 1},
		"another length":            {draw: publishing(key, splitkeytest.NamedKey(splitkeytest.Server, 3072).N, 65537), seals: 9, drawn: 1},
		"another exponent":          {draw: publishing(key, splitkeytest.NamedKey(splitkeytest.Server, 2048).N, 3), seals: 9, drawn: 1},
		"too small":                 {draw: publishing(key, rough(t, new(big.Int).Lsh(big.NewInt(0xa7), 2040)), 65537), seals: 9, drawn: 1},
	} {
		t.Run(name, func(t *testing.T) {
			keys := new(countingKeys)
			sealer := &failingSealer{seals: c.seals}
			s := newService(t, func(config *Config) {
				if c.create != nil {
					config.Store = &protocoltest.FailingStore{Store: config.Store, Fails: c.create}
				}
				if c.draw != nil {
					config.Keys = drawnKeys{config.Keys, c.draw}
				}
				sealer.Sealer, config.Sealer = config.Sealer, sealer
			}, countKeys(keys))
			p := newPhone(t, s, nil)
			id, challenge, err := s.ChallengeEnroll(t.Context())
			require.NoError(t, err)
			client, server := protocoltest.Shares()
			options := device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server}
			require.ErrorIs(t, p.Enroll(t.Context(), options), device.ErrUnanswered)
			require.Equal(t, c.drawn, keys.drawn.Load())
			// Repaired: the challenge stays spent.
			sealer.seals = 9
			s.Server = s.node(t, func(config *Config) { config.Store, config.Keys = s.store, protocoltest.FixedKeys{} })
			for range 2 {
				_, err = p.Resume(t.Context())
				require.ErrorIs(t, err, device.ErrUnanswered)
			}
			require.Contains(t, s.logged(), errSpent.Error())
			request, _, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
			require.NoError(t, err)
			_, err = s.Handle(t.Context(), request)
			require.ErrorIs(t, err, ErrRefused, "another enrolment with the same challenge")
			s.clock.Add(DefaultChallengeLife)
			_, err = p.Resume(t.Context())
			require.ErrorContains(t, err, "the challenge has expired")
			require.Equal(t, c.drawn, keys.drawn.Load())
			_, err = s.Status(t.Context(), id)
			require.ErrorIs(t, err, ErrUnknownKey)
			require.NoError(t, p.Enroll(t.Context(), device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN}))
			require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
		})
	}
}

// publishing draws a key that says that it has another modulus and exponent.
func publishing(key splitkey.RSAKey, n *big.Int, e int) func() (splitkey.RSAKey, []byte, error) {
	return func() (splitkey.RSAKey, []byte, error) {
		return publicOnly{key, &rsa.PublicKey{N: n, E: e}}, []byte("fixed"), nil
	}
}

type publicOnly struct {
	splitkey.RSAKey
	pub *rsa.PublicKey
}

func (p publicOnly) Public() crypto.PublicKey { return p.pub }

func failsFor(prefix string, err error) func(string) error {
	return func(id string) error {
		if strings.HasPrefix(id, prefix) {
			return err
		}
		return nil
	}
}

// drawnKeys is a KeySource whose new keys a test makes.
type drawnKeys struct {
	KeySource
	draw func() (splitkey.RSAKey, []byte, error)
}

func (d drawnKeys) NewKey(context.Context) (splitkey.RSAKey, []byte, error) { return d.draw() }

// failingSealer seals a number of times.
type failingSealer struct {
	Sealer
	seals int
}

func (f *failingSealer) Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error) {
	if f.seals--; f.seals < 0 {
		return nil, errors.New("the HSM is away")
	}
	return f.Sealer.Seal(ctx, aad, plaintext)
}

// TestSealerAway: an enrolment that meets a sealer that is away spends nothing, and is
// done when it is back.
func TestSealerAway(t *testing.T) {
	sealer := new(failingSealer)
	keys := new(countingKeys)
	s := newService(t, countKeys(keys), func(c *Config) { sealer.Sealer, c.Sealer = c.Sealer, sealer })
	p := newPhone(t, s, nil)
	client, server := protocoltest.Shares()
	options := device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: server}
	require.ErrorIs(t, p.Enroll(t.Context(), options), device.ErrUnanswered)
	require.Empty(t, s.stored())
	require.Zero(t, keys.drawn.Load())
	sealer.seals = 9
	_, err := p.Resume(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
}

// TestGoneWhileDrawing: whoever hangs up while the server draws a key has spent his
// challenge on an enrolment that is finished.
func TestGoneWhileDrawing(t *testing.T) {
	keys := new(countingKeys)
	s := newService(t, countKeys(keys), func(c *Config) { c.Store = &cancellable{c.Store}; c.Sealer = &cancellableSealer{c.Sealer} })
	ctx, cancel := context.WithCancel(t.Context())
	keys.before = cancel
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	request, _, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
	require.NoError(t, err)
	_, err = s.Handle(ctx, request)
	require.NoError(t, err)
	status, err := s.Status(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, Pending, status.Condition)
}

// cancellable is a store that looks at its contexts.
type cancellable struct{ limiter.Store }

func (c *cancellable) Create(ctx context.Context, id string, value []byte) error {
	return errors.Join(ctx.Err(), c.Store.Create(ctx, id, value))
}

type cancellableSealer struct{ Sealer }

func (c *cancellableSealer) Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.Sealer.Seal(ctx, aad, plaintext)
}

// TestRefusedAfterTheDraw: a modulus that somebody else reserved meanwhile, and one with
// a factor in common with the server's key, are refused again with the same answer,
// without a second draw.
func TestRefusedAfterTheDraw(t *testing.T) {
	_, server := protocoltest.Shares()
	t.Run("lost race", func(t *testing.T) {
		keys := new(countingKeys)
		var s *service
		var other protocol.KeyID
		s = newService(t, countKeys(keys), func(c *Config) {
			memory := c.Store
			c.Store = &protocoltest.FailingStore{Store: memory, Fails: func(id string) error {
				if id[:3] == "n1/" && other == (protocol.KeyID{}) { // another node is faster
					other = protocol.KeyID{1}
					return memory.Create(t.Context(), id, append([]byte{wire.Version}, other[:]...))
				}
				return nil
			}}
		})
		id, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		request, r, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
		require.NoError(t, err)
		for range 2 {
			require.Equal(t, wire.RefusedEnrolled, deliver(t, s.Server, request, r).Refusal)
		}
		require.Zero(t, keys.drawn.Load())
		// Also if the other one is gone by now.
		index := ""
		for id := range s.stored() {
			if id[:3] == "n1/" {
				index = id
			}
		}
		_, version, err := s.store.Load(t.Context(), index)
		require.NoError(t, err)
		require.NoError(t, s.store.Swap(t.Context(), index, version, append([]byte{wire.Version}, id[:]...)))
		require.Equal(t, wire.RefusedEnrolled, deliver(t, s.Server, request, r).Refusal)
		require.Zero(t, keys.drawn.Load())
	})
	t.Run("common factor", func(t *testing.T) {
		keys := new(countingKeys)
		s := newService(t, func(c *Config) { c.Keys = sharingFactor{} }, countKeys(keys))
		_, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		request, r, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
		require.NoError(t, err)
		for range 3 {
			require.Equal(t, wire.RefusedFactor, deliver(t, s.Server, request, r).Refusal)
		}
		require.EqualValues(t, 1, keys.drawn.Load())
		s.clock.Add(time.Hour)
		require.Equal(t, wire.CodeExpired, deliver(t, s.Server, request, r).Code)
	})
}

// brokenMarks is a store that does not say, or does not change, which challenges are
// spent.
type brokenMarks struct {
	limiter.Store
	load, swap error
}

func (b *brokenMarks) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if err := failsFor("spent/", b.load)(id); err != nil {
		return nil, 0, err
	}
	return b.Store.Load(ctx, id)
}

func (b *brokenMarks) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if err := failsFor("spent/", b.swap)(id); err != nil {
		return err
	}
	return b.Store.Swap(ctx, id, version, value)
}

// TestRefusalIsDurable: a key is refused for good only once that is stored, and nothing
// is drawn where the store does not say whether the challenge is spent.
func TestRefusalIsDurable(t *testing.T) {
	_, server := protocoltest.Shares()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		load, swap error
		drawn      int64
	}{"not changed": {swap: broken, drawn: 1}, "not read": {load: broken}} {
		t.Run(name, func(t *testing.T) {
			keys := new(countingKeys)
			marks := &brokenMarks{load: c.load, swap: c.swap}
			s := newService(t, func(config *Config) {
				config.Keys, marks.Store, config.Store = sharingFactor{}, config.Store, marks
			}, countKeys(keys))
			_, challenge, err := s.ChallengeEnroll(t.Context())
			require.NoError(t, err)
			request, r, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
			require.NoError(t, err)
			for range 2 {
				require.Equal(t, wire.CodeLater, deliver(t, s.Server, request, r).Code)
			}
			require.Equal(t, c.drawn, keys.drawn.Load())
		})
	}
}

// TestDamagedMark: a mark that cannot be read is a failure, not a fresh start.
func TestDamagedMark(t *testing.T) {
	keys := new(countingKeys)
	s := newService(t, countKeys(keys))
	_, server := protocoltest.Shares()
	for _, mark := range []func(request wire.Hash) []byte{
		func(wire.Hash) []byte { return []byte{wire.Version} },
		func(request wire.Hash) []byte { return spent{request, wire.RefusedHardware + 1}.encode() },
	} {
		id, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		request, r, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
		require.NoError(t, err)
		require.NoError(t, s.store.Create(t.Context(), spentID(id), mark(r.Request)))
		require.Equal(t, wire.CodeLater, deliver(t, s.Server, request, r).Code)
	}
	require.Zero(t, keys.drawn.Load())
}

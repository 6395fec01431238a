package server

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// wiretap records what a phone sends and hears.
type wiretap struct {
	service           *service
	requests, answers [][]byte
	lose              bool // the requests
}

func (w *wiretap) transport(ctx context.Context, request []byte) ([]byte, error) {
	w.requests = append(w.requests, bytes.Clone(request))
	if w.lose {
		w.answers = append(w.answers, nil)
		return nil, protocoltest.ErrLost
	}
	response, err := w.service.Handle(ctx, request)
	w.answers = append(w.answers, bytes.Clone(response))
	return response, err
}

// life is a phone's life with every kind of request, each with a right and a wrong
// outcome, recorded.
func life(t *testing.T, s *service, state device.Storage, after func(p *phone)) (*phone, *wiretap) {
	tap := &wiretap{service: s}
	d, err := device.New(device.Config{Storage: state, Transport: tap.transport, HPKEKey: s.HPKEKey(), Params: protocoltest.Cheapest})
	require.NoError(t, err)
	p := &phone{Device: d, service: s}
	step := func(err error) {
		if after != nil {
			after(p)
		}
	}
	p.enroll(t)
	step(nil)
	step(p.Confirm(t.Context(), nil, protocoltest.WrongPIN))
	step(p.Confirm(t.Context(), p.challenge(t), protocoltest.RightPIN))
	for i := range 2 {
		_, err := p.sign(t, "contract", protocoltest.WrongPIN)
		step(err)
		_, err = p.sign(t, "contract", protocoltest.RightPIN)
		step(err)
		step(p.Refresh(t.Context(), p.challenge(t)))
		s.clock.Add(time.Duration(i) * time.Hour)
	}
	tap.lose = true
	_, err = p.sign(t, "contract", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	tap.lose = false
	step(p.Cancel(t.Context(), p.challenge(t)))
	step(p.ChangePIN(t.Context(), p.challenge(t), protocoltest.WrongPIN, protocoltest.NewPIN))
	step(p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN))
	for range 3 {
		_, err := p.sign(t, "contract", protocoltest.WrongPIN)
		step(err)
	}
	_, err = p.sign(t, "contract", protocoltest.NewPIN) // which cancels it at once
	var locked *limiter.LockedError
	require.ErrorAs(t, err, &locked)
	step(err)
	return p, tap
}

// TestReplayEverything: every request that was ever recorded, sent again at any later
// time, in any order, to any node, changes nothing, and raises no alarm.
func TestReplayEverything(t *testing.T) {
	store := new(protocoltest.CountingStore)
	s := newService(t, func(c *Config) { store.Store = c.Store; c.Store = store })
	p, tap := life(t, s, new(protocoltest.MemoryStorage), nil)
	before, version, err := s.store.Load(t.Context(), recordID(p.id))
	require.NoError(t, err)
	store.Writes = 0
	behind := s.node(t, func(c *Config) { c.Clock = func() time.Time { return s.clock.Now().Add(-clockSkew) } })
	// A node whose clock is wrong by hours, and then shows a time at which the requests
	// were fresh.
	broken := s.node(t, func(c *Config) { c.Clock = func() time.Time { return protocoltest.NewClock().Now().Add(time.Minute) } })
	nodes := []*Server{s.Server, s.node(t), behind, broken}
	random := rand.New(rand.NewPCG(1, 2))
	for _, later := range []time.Duration{0, time.Second, DefaultChallengeLife - time.Second, 2 * time.Second, clockSkew,
		3 * time.Hour, 24 * time.Hour, 10_000 * time.Hour} {
		s.clock.Add(later)
		for range 3 {
			for _, i := range random.Perm(len(tap.requests)) {
				_, err := nodes[random.IntN(len(nodes))].Handle(t.Context(), tap.requests[i])
				if err != nil {
					require.ErrorIs(t, err, ErrRefused)
				}
			}
		}
	}
	after, same, err := s.store.Load(t.Context(), recordID(p.id))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, version, same, "nothing was even written")
	require.Zero(t, store.Writes, "of any record")
	require.NotContains(t, s.logged(), eventClone)
	_, err = p.sign(t, "life goes on", protocoltest.NewPIN)
	require.NoError(t, err)
}

// TestStranger: whoever does not hold K_dev changes nothing and learns nothing, whatever
// he sends.
func TestStranger(t *testing.T) {
	store := new(protocoltest.CountingStore)
	s := newService(t, func(c *Config) { store.Store = c.Store; c.Store = store })
	p, tap := life(t, s, new(protocoltest.MemoryStorage), nil)
	before, version, err := s.store.Load(t.Context(), recordID(p.id))
	require.NoError(t, err)
	random := rand.New(rand.NewPCG(3, 4))
	var requests [][]byte
	add := func(r []byte) { requests = append(requests, r) }

	// Malformed in every way: every length, every byte changed, random bytes.
	sample := tap.requests[len(tap.requests)-1]
	for n := 0; n < len(sample); n += 1 + n/16 {
		add(sample[:n])
	}
	add(append(bytes.Clone(sample), 0))
	add(make([]byte, protocol.MaxRequest+1))
	for range 200 {
		damaged := bytes.Clone(sample)
		damaged[random.IntN(len(damaged))] ^= byte(1 + random.IntN(255))
		add(damaged)
	}
	// Well-formed, for known and unknown keys, with valid challenges, under a K_dev of
	// his own; and from the keys of others.
	var unknown protocol.KeyID
	unknown[3] = 1
	other := newReadyPhone2(t, s)
	for _, id := range []protocol.KeyID{p.id, unknown, other.id} {
		for _, op := range []protocol.Operation{protocol.OpConfirm, protocol.OpSign, protocol.OpRefresh, protocol.OpChangePIN, protocol.OpCancel, protocol.OpReport} {
			add(forge(t, s, id, id, op, wire.DrawSecret()))
			add(forge(t, s, id, p.id, op, wire.DrawSecret()))
		}
	}
	st, err := protocoltest.ParseState(other.state.Data)
	require.NoError(t, err)
	add(forge(t, s, p.id, p.id, protocol.OpSign, st.Key.AuthKey))
	add(forge(t, s, p.id, other.id, protocol.OpSign, st.Key.AuthKey))
	// An enrolment without a challenge of the server's, and one with a challenge for
	// something else.
	stranger := newService(t, func(c *Config) { c.ChallengeKey = bytes.Repeat([]byte{1}, 32) })
	for _, from := range []*service{stranger, s} {
		id, c, err := from.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		if from == s {
			id = p.id
			c, err = s.Challenge(t.Context(), id)
			require.NoError(t, err)
		}
		add(forgeEnrollment(t, s, id, c))
	}

	store.Writes = 0
	for i, r := range requests {
		response, err := s.Handle(t.Context(), r)
		require.Equal(t, ErrRefused, err, "request %d", i)
		require.Nil(t, response, "request %d", i)
	}
	after, same, err := s.store.Load(t.Context(), recordID(p.id))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, version, same)
	require.Zero(t, store.Writes, "of any record")
}

// newReadyPhone2 is another enrolled key: the additive one.
func newReadyPhone2(t *testing.T, s *service) *phone {
	p := newPhone(t, s, nil)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN}))
	p.id = id
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	return p
}

// forge makes a well-formed request with a valid challenge for challengeFor, sent for id:
// with a ticket for that.
func forge(t testing.TB, s *service, id, challengeFor protocol.KeyID, op protocol.Operation, key wire.Secret) []byte {
	r := &wire.Request{Op: op, Number: 1, Token: wire.DrawSecret(), Target: wire.DrawSecret().Commitment()}
	var raw []byte
	var err error
	if op == protocol.OpSign {
		r.Messages, err = wire.NewMessages([][]byte{protocoltest.DigestOf("loot")}, crypto.SHA256)
		require.NoError(t, err)
		raw, err = s.ChallengeSign(t.Context(), challengeFor, protocoltest.DigestOf("loot"), crypto.SHA256)
	} else {
		raw, err = s.Challenge(t.Context(), challengeFor)
	}
	require.NoError(t, err)
	r.Challenge, err = wire.ParseChallenge(raw)
	require.NoError(t, err)
	switch op {
	case protocol.OpReport:
		r.Number, r.Token, r.Target = 0, wire.NewSecret(make([]byte, wire.SecretSize)), wire.Hash{}
	case protocol.OpSign, protocol.OpConfirm, protocol.OpChangePIN:
		r.Salts, r.Partials = [][]byte{nil}, [][]byte{bytes.Repeat([]byte{2}, 256)}
	}
	plaintext, err := r.Encode(key, id, nil)
	require.NoError(t, err)
	pub, err := wire.KEM.NewPublicKey(s.HPKEKey())
	require.NoError(t, err)
	ticket := r.Challenge.Ticket()
	if id != challengeFor {
		raw, err := s.Challenge(t.Context(), id)
		require.NoError(t, err)
		c, err := wire.ParseChallenge(raw)
		require.NoError(t, err)
		ticket = c.Ticket()
	}
	request, _, err := wire.SealRequest(pub, op, ticket, plaintext)
	require.NoError(t, err)
	return request
}

func forgeEnrollment(t *testing.T, s *service, id protocol.KeyID, raw []byte) []byte {
	c, err := wire.ParseChallenge(raw)
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	e := wire.Enrollment{Challenge: c, Share: secret.Own(server.Bytes()), AuthKey: wire.DrawSecret(), Commitment: wire.DrawSecret().Commitment()}
	plaintext, err := e.Encode(id, nil)
	require.NoError(t, err)
	pub, err := wire.KEM.NewPublicKey(s.HPKEKey())
	require.NoError(t, err)
	request, _, err := protocoltest.SealRequest(pub, protocol.OpEnroll, plaintext)
	require.NoError(t, err)
	return request
}

// TestNothingSecretOutside searches all bytes that were sent, the audit log, and the
// device's folder at every moment of every exchange for all that must not be there, in
// every encoding.
func TestNothingSecretOutside(t *testing.T) {
	s := newService(t)
	folder := t.TempDir()
	file, err := device.NewFileStorage(folder)
	require.NoError(t, err)
	client, server := protocoltest.Shares()
	inFolder := shareSecrets(t, client, server)
	var kdev [][]byte
	var partials [][]byte
	looks := 0
	state := &watchedState{Storage: file, after: func() {
		looks++
		data, err := file.Load()
		require.NoError(t, err)
		st, err := protocoltest.ParseState(data)
		require.NoError(t, err)
		if st.Key != nil {
			kdev = append(kdev, st.Key.AuthKey.Get())
			if device.Phase(st.Phase) == device.Ready {
				kdev = append(kdev, bytes.Clone(st.Key.Token.Get()))
			}
			if st.Pending != nil && st.Pending.Op != protocol.OpEnroll && st.Pending.Op != protocol.OpRefresh {
				partials = append(partials, partialsOf(t, st)...)
			}
		}
		requireAbsent(t, readFolder(t, folder), append(slices.Clone(inFolder), partials...))
	}}
	_, tap := life(t, s, state, nil)
	require.Greater(t, looks, 20)
	require.NotEmpty(t, partials)
	secrets := slices.Concat(inFolder, kdev, partials)
	for i := range tap.requests {
		requireAbsent(t, tap.requests[i], secrets)
		requireAbsent(t, tap.answers[i], secrets)
	}
	requireAbsent(t, []byte(s.logged()), append(slices.Clone(secrets), protocoltest.DigestOf("contract")))
	// The search finds what is there.
	for _, secret := range [][]byte{kdev[0], inFolder[0], protocoltest.RightPIN} {
		for shift := range 5 {
			around := append(append(make([]byte, shift), secret...), 1, 2, 3, 4, 5)
			require.True(t, protocoltest.Contains(around, secret))
			require.True(t, protocoltest.Contains([]byte(base64.StdEncoding.EncodeToString(around)), secret))
			require.True(t, protocoltest.Contains([]byte(strings.ToUpper(hex.EncodeToString(around))), secret))
		}
	}
	require.True(t, protocoltest.Contains(readFolder(t, folder), kdev[0]), "K_dev is in the folder, and is found")
}

// shareSecrets are x, d_c, d_s, e_s's inverse and the PINs.
func shareSecrets(t *testing.T, client *splitkey.ClientShare, server *splitkey.ServerShare) [][]byte {
	x := client.Secret()
	dc := new(big.Int).SetBytes(x)
	dc.Lsh(dc, 1).SetBit(dc, 0, 1)
	es := new(big.Int).ModInverse(new(big.Int).SetBytes(server.Secret()), protocoltest.LambdaOfTestKey())
	require.NotNil(t, es)
	return [][]byte{x, dc.Bytes(), server.Secret(), es.Bytes(), protocoltest.RightPIN, protocoltest.WrongPIN, protocoltest.NewPIN}
}

// watchedState looks at the folder after each save.
type watchedState struct {
	device.Storage
	after func()
}

func (w *watchedState) Save(data []byte) error {
	err := w.Storage.Save(data)
	w.after()
	return err
}

// partialsOf computes every y that the pending request may contain: of the right and of
// the wrong PIN.
func partialsOf(t *testing.T, st *protocoltest.State) [][]byte {
	box, err := pinlock.ParseLockbox(st.Key.Lockbox)
	require.NoError(t, err)
	var ys [][]byte
	for _, pin := range [][]byte{protocoltest.RightPIN, protocoltest.WrongPIN, protocoltest.NewPIN} {
		share, err := box.Unlock(pin, protocoltest.Cheapest)
		require.NoError(t, err)
		signed := st.Pending.ToSign()
		final, err := st.Key.FinalKey()
		require.NoError(t, err)
		m, err := final.EncodeWithSalt(signed.Digests[0], signed.Options(), nil)
		require.NoError(t, err)
		y, err := share.SignPartial(m)
		require.NoError(t, err)
		ys = append(ys, y)
	}
	return ys
}

func readFolder(t *testing.T, folder string) []byte {
	var all []byte
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(folder, e.Name()))
		require.NoError(t, err)
		all = append(all, data...)
	}
	return all
}

func requireAbsent(t *testing.T, haystack []byte, secrets [][]byte) {
	t.Helper()
	for i, s := range secrets {
		require.False(t, protocoltest.Contains(haystack, s), "secret %d of %d bytes", i, len(s))
	}
}

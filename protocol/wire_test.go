package protocol

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base32"
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

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
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
		return nil, errLost
	}
	response, err := w.service.Handle(ctx, request)
	w.answers = append(w.answers, bytes.Clone(response))
	return response, err
}

// life is a phone's life with every kind of request, each with a right and a wrong outcome, recorded.
func life(t *testing.T, s *service, state State, after func(p *phone)) (*phone, *wiretap) {
	tap := &wiretap{service: s}
	d, err := NewDevice(DeviceConfig{State: state, Transport: tap.transport, ServerKey: s.ServerKey(), Params: cheapest})
	require.NoError(t, err)
	p := &phone{Device: d, service: s}
	step := func(err error) {
		if after != nil {
			after(p)
		}
	}
	p.enroll(t)
	step(nil)
	step(p.Confirm(t.Context(), nil, wrongPIN))
	step(p.Confirm(t.Context(), p.challenge(t), rightPIN))
	for i := range 2 {
		_, err := p.sign(t, "contract", wrongPIN)
		step(err)
		_, err = p.sign(t, "contract", rightPIN)
		step(err)
		step(p.Refresh(t.Context(), p.challenge(t)))
		s.clock.Add(time.Duration(i) * time.Hour)
	}
	tap.lose = true
	_, err = p.sign(t, "contract", rightPIN)
	require.ErrorIs(t, err, ErrUnanswered)
	tap.lose = false
	step(p.Cancel(t.Context(), p.challenge(t)))
	step(p.ChangePIN(t.Context(), p.challenge(t), wrongPIN, newPIN))
	step(p.ChangePIN(t.Context(), p.challenge(t), rightPIN, newPIN))
	for range 3 {
		_, err := p.sign(t, "contract", wrongPIN)
		step(err)
	}
	_, err = p.sign(t, "contract", newPIN) // which cancels it at once
	var locked *limiter.LockedError
	require.ErrorAs(t, err, &locked)
	step(err)
	return p, tap
}

// countingStore counts the writes that were tried.
type countingStore struct {
	limiter.Store
	writes int
}

func (c *countingStore) Create(ctx context.Context, id string, value []byte) error {
	c.writes++
	return c.Store.Create(ctx, id, value)
}

func (c *countingStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	c.writes++
	return c.Store.Swap(ctx, id, version, value)
}

// TestReplayEverything: every request that was ever recorded, sent again at any later time, in any order, to any
// node, changes nothing, and raises no alarm.
func TestReplayEverything(t *testing.T) {
	store := new(countingStore)
	s := newService(t, func(c *Config) { store.Store = c.Store; c.Store = store })
	p, tap := life(t, s, new(memoryState), nil)
	before, version, err := s.store.Load(t.Context(), p.id.recordID())
	require.NoError(t, err)
	store.writes = 0
	behind := s.node(t, func(c *Config) { c.Clock = func() time.Time { return s.clock.Now().Add(-clockSkew) } })
	// A node whose clock is wrong by hours, and then shows a time at which the requests were fresh.
	broken := s.node(t, func(c *Config) { c.Clock = func() time.Time { return newClock().Now().Add(time.Minute) } })
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
	after, same, err := s.store.Load(t.Context(), p.id.recordID())
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, version, same, "nothing was even written")
	require.Zero(t, store.writes, "of any record")
	require.NotContains(t, s.logged(), eventClone)
	_, err = p.sign(t, "life goes on", newPIN)
	require.NoError(t, err)
}

// TestStranger: whoever does not hold K_dev changes nothing and learns nothing, whatever he sends.
func TestStranger(t *testing.T) {
	store := new(countingStore)
	s := newService(t, func(c *Config) { store.Store = c.Store; c.Store = store })
	p, tap := life(t, s, new(memoryState), nil)
	before, version, err := s.store.Load(t.Context(), p.id.recordID())
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
	add(make([]byte, MaxRequest+1))
	for range 200 {
		damaged := bytes.Clone(sample)
		damaged[random.IntN(len(damaged))] ^= byte(1 + random.IntN(255))
		add(damaged)
	}
	// Well-formed, for known and unknown keys, with valid challenges, under a K_dev of his own; and from the keys of others.
	var unknown KeyID
	unknown[3] = 1
	other := newReadyPhone2(t, s)
	for _, id := range []KeyID{p.id, unknown, other.id} {
		for _, op := range []Operation{OpConfirm, OpSign, OpRefresh, OpChangePIN, OpCancel, OpReport} {
			add(forge(t, s, id, id, op, drawSecret()))
			add(forge(t, s, id, p.id, op, drawSecret()))
		}
	}
	st, err := parseDeviceState(other.state.data, nil)
	require.NoError(t, err)
	add(forge(t, s, p.id, p.id, OpSign, st.key.authKey))
	add(forge(t, s, p.id, other.id, OpSign, st.key.authKey))
	// An enrolment without a challenge of the server's, and one with a challenge for something else.
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

	store.writes = 0
	for i, r := range requests {
		response, err := s.Handle(t.Context(), r)
		require.Equal(t, ErrRefused, err, "request %d", i)
		require.Nil(t, response, "request %d", i)
	}
	after, same, err := s.store.Load(t.Context(), p.id.recordID())
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.Equal(t, version, same)
	require.Zero(t, store.writes, "of any record")
}

// newReadyPhone2 is another enrolled key: the additive one.
func newReadyPhone2(t *testing.T, s *service) *phone {
	p := newPhone(t, s, nil)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN}))
	p.id = id
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	return p
}

// forge makes a well-formed request with a valid challenge for challengeFor, sent for id.
func forge(t *testing.T, s *service, id, challengeFor KeyID, op Operation, key secret) []byte {
	r := &request{op: op, number: 1, token: drawSecret(), target: drawSecret().commitment()}
	var raw []byte
	var err error
	if op == OpSign {
		r.messages, err = newMessages([][]byte{digestOf("loot")}, crypto.SHA256)
		require.NoError(t, err)
		raw, err = s.ChallengeSign(t.Context(), challengeFor, digestOf("loot"), crypto.SHA256)
	} else {
		raw, err = s.Challenge(t.Context(), challengeFor)
	}
	require.NoError(t, err)
	r.challenge, err = parseChallenge(raw)
	require.NoError(t, err)
	switch op {
	case OpReport:
		r.number, r.token, r.target = 0, newSecret(make([]byte, secretSize)), hash{}
	case OpSign, OpConfirm, OpChangePIN:
		r.salts, r.partials = [][]byte{nil}, [][]byte{bytes.Repeat([]byte{2}, 256)}
	}
	plaintext, err := r.encode(key, id, nil)
	require.NoError(t, err)
	pub, err := kem.NewPublicKey(s.ServerKey())
	require.NoError(t, err)
	request, _, err := sealRequest(pub, op, id, plaintext)
	require.NoError(t, err)
	return request
}

func forgeEnrollment(t *testing.T, s *service, id KeyID, raw []byte) []byte {
	c, err := parseChallenge(raw)
	require.NoError(t, err)
	_, server := testShares()
	e := enrollment{challenge: c, share: hide(server.Bytes()), authKey: drawSecret(), commitment: drawSecret().commitment()}
	plaintext, err := e.encode(id, nil)
	require.NoError(t, err)
	pub, err := kem.NewPublicKey(s.ServerKey())
	require.NoError(t, err)
	request, _, err := sealRequest(pub, OpEnroll, id, plaintext)
	require.NoError(t, err)
	return request
}

// TestNothingSecretOutside searches all bytes that were sent, the audit log, and the device's folder at every moment of every
// exchange for all that must not be there, in every encoding.
func TestNothingSecretOutside(t *testing.T) {
	s := newService(t)
	folder := t.TempDir()
	file, err := NewFileState(folder)
	require.NoError(t, err)
	client, server := testShares()
	inFolder := shareSecrets(t, client, server)
	var kdev [][]byte
	var partials [][]byte
	looks := 0
	state := &watchedState{State: file, after: func() {
		looks++
		data, err := file.Load()
		require.NoError(t, err)
		st, err := parseDeviceState(data, nil)
		require.NoError(t, err)
		if st.key != nil {
			kdev = append(kdev, st.key.authKey.bytes())
			if st.phase == Ready {
				kdev = append(kdev, bytes.Clone(st.key.token.bytes()))
			}
			if st.pending != nil && st.pending.op != OpEnroll && st.pending.op != OpRefresh {
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
	requireAbsent(t, []byte(s.logged()), append(slices.Clone(secrets), digestOf("contract")))
	// The search finds what is there.
	for _, secret := range [][]byte{kdev[0], inFolder[0], rightPIN} {
		for shift := range 5 {
			around := append(append(make([]byte, shift), secret...), 1, 2, 3, 4, 5)
			require.True(t, contains(around, secret))
			require.True(t, contains([]byte(base64.StdEncoding.EncodeToString(around)), secret))
			require.True(t, contains([]byte(strings.ToUpper(hex.EncodeToString(around))), secret))
		}
	}
	require.True(t, contains(readFolder(t, folder), kdev[0]), "K_dev is in the folder, and is found")
}

// shareSecrets are x, d_c, d_s, e_s's inverse and the PINs.
func shareSecrets(t *testing.T, client *splitkey.ClientShare, server *splitkey.ServerShare) [][]byte {
	x := client.Secret()
	dc := new(big.Int).SetBytes(x)
	dc.Lsh(dc, 1).SetBit(dc, 0, 1)
	es := new(big.Int).ModInverse(new(big.Int).SetBytes(server.Secret()), lambdaOfTestKey())
	require.NotNil(t, es)
	return [][]byte{x, dc.Bytes(), server.Secret(), es.Bytes(), rightPIN, wrongPIN, newPIN}
}

// watchedState looks at the folder after each save.
type watchedState struct {
	State
	after func()
}

func (w *watchedState) Save(data []byte) error {
	err := w.State.Save(data)
	w.after()
	return err
}

// partialsOf computes every y that the pending request may contain: of the right and of the wrong PIN.
func partialsOf(t *testing.T, st *deviceState) [][]byte {
	box, err := pinlock.ParseLockbox(st.key.lockbox)
	require.NoError(t, err)
	var ys [][]byte
	for _, pin := range [][]byte{rightPIN, wrongPIN, newPIN} {
		share, err := box.Unlock(pin, cheapest)
		require.NoError(t, err)
		signed := st.pending.signed()
		final, err := st.key.finalKey()
		require.NoError(t, err)
		m, err := splitkey.EncodeWithSalt(final, signed.digests[0], signed.options(0), nil)
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
		require.False(t, contains(haystack, s), "secret %d of %d bytes", i, len(s))
	}
}

// contains looks for a secret as it is, reversed, in hexadecimal of both cases, in base64 and base32 at each
// alignment, and in decimal; of a long one, for 32 bytes from its middle. The shortest are PINs of 9
// digits, which no random bytes contain by chance.
func contains(haystack, secret []byte) bool {
	reversed := bytes.Clone(secret)
	slices.Reverse(reversed)
	lower := bytes.ToLower(haystack)
	for _, v := range [][]byte{secret, reversed} {
		if len(v) > 48 {
			v = v[16:48]
		}
		if bytes.Contains(haystack, v) || bytes.Contains(lower, []byte(hex.EncodeToString(v))) ||
			bytes.Contains(haystack, []byte(new(big.Int).SetBytes(v).String())) {
			return true
		}
		for shift := range 5 { // what the neighbours of v have a part in is cut off: a group at each end
			shifted := append(make([]byte, shift), v...)
			for _, e := range []interface{ EncodeToString([]byte) string }{base64.RawStdEncoding, base64.RawURLEncoding} {
				text := e.EncodeToString(shifted)
				if bytes.Contains(haystack, []byte(text[4*((shift+2)/3):len(text)-4])) {
					return true
				}
			}
			for _, e := range []interface{ EncodeToString([]byte) string }{base32.StdEncoding, base32.HexEncoding} {
				text := e.EncodeToString(shifted)
				if len(v) >= 16 && bytes.Contains(haystack, []byte(text[8:len(text)-16])) {
					return true
				}
			}
		}
	}
	return false
}

package server

import (
	"context"
	"crypto"
	"crypto/hpke"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

// costs is what a request makes a node do, in the order of the table in
// docs/operating.md.
type costs struct{ decrypted, made, used, reads, writes, seals, opens int }

// meter counts it.
type meter struct {
	limiter.Store
	Sealer
	KeySource
	costs
	fail bool // to make a key
}

func (m *meter) config(c *Config) {
	m.Store, m.Sealer, m.KeySource = c.Store, c.Sealer, c.Keys
	c.Store, c.Sealer, c.Keys = m, m, m
	c.HPKE.Current = meteredHPKE{c.HPKE.Current, m}
}

// meteredHPKE is asked for its KEM once for each encapsulated key that was taken apart.
type meteredHPKE struct {
	hpke.PrivateKey
	meter *meter
}

func (k meteredHPKE) KEM() hpke.KEM {
	k.meter.decrypted++
	return k.PrivateKey.KEM()
}

func (m *meter) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	m.reads++
	return m.Store.Load(ctx, id)
}

func (m *meter) Create(ctx context.Context, id string, value []byte) error {
	m.writes++
	return m.Store.Create(ctx, id, value)
}

func (m *meter) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	m.writes++
	return m.Store.Swap(ctx, id, version, value)
}

func (m *meter) Seal(ctx context.Context, aad, plaintext []byte) ([]byte, error) {
	m.seals++
	return m.Sealer.Seal(ctx, aad, plaintext)
}

func (m *meter) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	m.opens++
	return m.Sealer.Open(ctx, aad, sealed)
}

func (m *meter) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	m.made++
	if m.fail {
		return nil, nil, protocoltest.ErrLost
	}
	return m.KeySource.NewKey(ctx)
}

func (m *meter) LoadKey(ctx context.Context, blob []byte) (splitkey.RSAKey, error) {
	key, err := m.KeySource.LoadKey(ctx, blob)
	return meteredKey{key, m}, err
}

type meteredKey struct {
	splitkey.RSAKey
	meter *meter
}

func (k meteredKey) Exponentiate(ctx context.Context, x []byte) ([]byte, error) {
	k.meter.used++
	return k.RSAKey.Exponentiate(ctx, x)
}

// TestRequestCosts: the table of docs/operating.md is what is counted, twice for each
// request.
func TestRequestCosts(t *testing.T) {
	m := new(meter)
	s := newService(t, m.config)
	tap := &wiretap{service: s}
	p := newPhone(t, s, tap.transport)
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	last := func() []byte { return tap.requests[len(tap.requests)-1] }
	enrolment := func(share []byte) []byte {
		_, challenge, err := s.ChallengeEnroll(t.Context())
		require.NoError(t, err)
		request, _, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, share))
		require.NoError(t, err)
		return request
	}
	got := make(map[string]costs)
	count := func(name string, request func() []byte) {
		for range 2 {
			r := request()
			m.costs = costs{}
			_, _ = s.Handle(t.Context(), r)
			if before, again := got[name]; again {
				require.Equal(t, before, m.costs, name)
			}
			got[name] = m.costs
		}
	}
	constant := func(request []byte) func() []byte { return func() []byte { return request } }
	// What the owner's device sends itself.
	own := func(name string, do func() error) {
		for range 2 {
			m.costs = costs{}
			_ = do()
			if before, again := got[name]; again {
				require.Equal(t, before, m.costs, name)
			}
			got[name] = m.costs
		}
	}

	_, server := protocoltest.Shares()
	stranger := newService(t, func(c *Config) { c.ChallengeKey = []byte("a challenge key of somebody else") })
	stranger.config.HPKE, stranger.Server.hpkeKey = s.config.HPKE, s.Server.hpkeKey
	_, err := s.Handle(t.Context(), forge(t, s, protocol.KeyID{8}, protocol.KeyID{8}, protocol.OpSign, wire.DrawSecret())) // seals nobody's K_dev, once
	require.ErrorIs(t, err, ErrRefused)

	const asked = "With a challenge, which anybody may ask for: "
	count("Anybody: bytes that are no request", constant(last()[:1000]))
	count("Anybody: a request with a challenge that is not the server's", constant(forge(t, stranger, p.id, p.id, protocol.OpSign, wire.DrawSecret())))
	count(asked+"a request encrypted to nobody", constant(envelope(s, ticketOf(p.challenge(t)))))
	count(asked+"a request with another challenge behind it", constant(forge(t, s, p.id, protocol.KeyID{9}, protocol.OpSign, wire.DrawSecret())))
	count(asked+"a request for a key that does not exist", constant(forge(t, s, protocol.KeyID{9}, protocol.KeyID{9}, protocol.OpSign, wire.DrawSecret())))
	count(asked+"a request for somebody else's key", constant(forge(t, s, p.id, p.id, protocol.OpSign, wire.DrawSecret())))
	const enrols = "With a challenge for an enrolment: "
	count(enrols+"a key that cannot be enrolled", constant(enrolment(nil)))
	count(enrols+"a key that is enrolled already", constant(enrolment(server.Bytes())))
	n := smallestFit()
	count(enrols+"a key that is enrolled", func() []byte {
		n = rough(t, n.Add(n, two))
		return enrolment(shareFor(t, n))
	})
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	both := make([][]byte, 2)
	for i := range both {
		n = rough(t, n.Add(n, two))
		both[i], _, err = protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, shareFor(t, n)))
		require.NoError(t, err)
	}
	_, err = s.Handle(t.Context(), both[0])
	require.NoError(t, err)
	count(enrols+"the same again", constant(both[0]))
	count(enrols+"another key after that", constant(both[1]))
	n = rough(t, n.Add(n, two))
	failed := enrolment(shareFor(t, n))
	m.fail = true
	_, err = s.Handle(t.Context(), failed)
	require.NoError(t, err)
	m.fail = false
	count(enrols+"again, after it failed half-way", constant(failed))

	own("The owner: a right PIN", func() error { _, err := p.sign(t, "x", protocoltest.RightPIN); return err })
	own("The owner: a wrong PIN", func() error { _, err := p.sign(t, "x", protocoltest.WrongPIN); return err })
	wrong := last()
	count("Whoever recorded it: a wrong PIN or a refresh again", constant(wrong))
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	right := last()
	count("Whoever recorded it: a right PIN again, up to a day after its challenge expired", constant(right))
	s.clock.Add(answerLife + DefaultChallengeLife)
	count("Whoever recorded it: a right PIN again, later", constant(right))
	s.clock.Add(time.Second)
	own("The owner: refresh", func() error { return p.Refresh(t.Context(), p.challenge(t)) })
	count("Whoever recorded it: a wrong PIN or a refresh again", constant(last()))

	page, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "\n## What a request costs\n")
	require.True(t, found)
	table, _, found = strings.Cut(table, "\n## ")
	require.True(t, found)
	rows := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 8 || strings.Contains(line, "---") || strings.Contains(line, "| reads |") {
			continue
		}
		name := strings.TrimSpace(cells[0])
		c, counted := got[name]
		require.True(t, counted, name)
		require.Equal(t, strings.Join(cells[1:], "|"), fmt.Sprintf(" %d | %d | %d | %d | %d | %d | %d ", c.decrypted, c.made, c.used, c.reads, c.writes, c.seals, c.opens), name)
		rows++
	}
	require.Equal(t, len(got), rows)
}

// TestBatchCosts: a list of documents costs what one does, and an operation of the server
// key for each: whatever the list's length one PIN, one read and one write of the record,
// and one sealed value that is opened.
func TestBatchCosts(t *testing.T) {
	m := new(meter)
	s := newService(t, m.config)
	p := newReadyPhone(t, s)
	one := costs{decrypted: 1, used: 1, reads: 1, writes: 1, opens: 1}
	for _, n := range []int{1, 8, protocol.MaxDocuments} {
		want := one
		want.used = n
		m.costs = costs{}
		_, err := p.signAll(t, digestsOf(n), crypto.SHA256, protocoltest.RightPIN)
		require.NoError(t, err)
		require.Equal(t, want, m.costs, "%d documents", n)

		want.used = 0
		m.costs = costs{}
		var wrong *limiter.WrongPINError
		_, err = p.signAll(t, digestsOf(n), crypto.SHA256, protocoltest.WrongPIN)
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, 8, wrong.RemainingTotal, "%d documents", n)
		require.Equal(t, want, m.costs, "%d documents, wrong", n)
	}
}

package server

import (
	"bytes"
	"context"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey/splitkeytest"
)

// The checks of docs/protocol.md, section 5, that a request must fail at although all
// else about it is right.

// TestChallengeMustBe for this key, of this purpose, authentic for this digest, not from
// the future, and not expired; to the millisecond.
func TestChallengeMustBe(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	other := newReadyPhone2(t, s)
	before := loadRecord(t, s, p.id)
	refresh := func() *forgery { return p.forgery(t, protocol.OpRefresh, p, protocoltest.RightPIN) }

	refresh().with(t, other.challenge(t)).requireRefused(t, s, "another key's")
	// With the other's purpose it does not even parse; an enrolment's is none of either.
	refresh().with(t, s.challenges.Issue(wire.ForEnrolment, p.id, s.clock.Now(), DefaultChallengeLife, wire.Hash{})).requireRefused(t, s, "an enrolment's")
	stranger, err := wire.NewChallengeKey(bytes.Repeat([]byte{4}, 32))
	require.NoError(t, err)
	refresh().with(t, stranger.Issue(wire.ForOwnUse, p.id, s.clock.Now(), DefaultChallengeLife, wire.Hash{})).requireRefused(t, s, "a stranger's")
	for at := 18; at < protocol.ChallengeSize; at += 7 { // each part of it is authenticated
		raw := p.challenge(t)
		raw[at] ^= 1
		if c, err := wire.ParseChallenge(raw); err == nil {
			f := refresh()
			f.request.Challenge = c
			f.requireRefused(t, s, "a changed one")
		}
	}
	signed := p.forgery(t, protocol.OpSign, p, protocoltest.RightPIN)
	signed.request.Messages.Digests[0] = protocoltest.DigestOf("another")
	c, answered := signed.send(t, s)
	require.True(t, answered)
	require.Equal(t, wire.CodeRejected, c, "another digest")

	at := func(d time.Duration) []byte {
		return s.challenges.Issue(wire.ForOwnUse, p.id, s.clock.Now().Add(d), DefaultChallengeLife, wire.Hash{})
	}
	refresh().with(t, at(clockSkew+time.Millisecond)).requireRefused(t, s, "from the future")
	c, answered = refresh().with(t, at(-DefaultChallengeLife)).send(t, s)
	require.True(t, answered)
	require.Equal(t, wire.CodeExpired, c, "at the very moment")
	require.Equal(t, before, loadRecord(t, s, p.id))
	c, _ = refresh().with(t, at(time.Millisecond-DefaultChallengeLife)).send(t, s)
	require.Equal(t, wire.CodeRight, c, "a millisecond before")
	q := newReadyPhone2(t, s)
	f := q.forgery(t, protocol.OpRefresh, q, protocoltest.RightPIN)
	f.with(t, s.challenges.Issue(wire.ForOwnUse, q.id, s.clock.Now().Add(clockSkew), DefaultChallengeLife, wire.Hash{}))
	c, _ = f.send(t, s)
	require.Equal(t, wire.CodeRight, c, "a minute ahead")
}

// TestEnrolmentChallengeMustBe for an enrolment: one that anybody may ask for, or that is
// for a transaction, enrols nothing; nor does one of the future, for another key id, or
// that has expired, to the millisecond.
func TestEnrolmentChallengeMustBe(t *testing.T) {
	s := newService(t)
	id := protocol.KeyID{7}
	now := s.clock.Now()
	issue := func(p wire.Purpose, id protocol.KeyID, at time.Time) []byte {
		return s.challenges.Issue(p, id, at, DefaultChallengeLife, wire.Hash{})
	}
	send := func(raw []byte) (*wire.Answer, error) {
		_, server := protocoltest.Shares()
		ticket := wire.Ticket(raw[:wire.TicketSize])
		if ticket.KeyID() != id {
			ticket = wire.Ticket(issue(wire.ForEnrolment, id, now)[:wire.TicketSize])
		}
		request, r, err := wire.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, &ticket, protocoltest.EnrollmentOf(t, raw, server.Bytes()))
		require.NoError(t, err)
		response, err := s.Handle(t.Context(), request)
		if err != nil {
			return nil, err
		}
		opened, err := r.Open(response)
		require.NoError(t, err)
		a, err := wire.ParseAnswer(opened)
		require.NoError(t, err)
		return a, nil
	}
	stranger, err := wire.NewChallengeKey(bytes.Repeat([]byte{4}, 32))
	require.NoError(t, err)
	for name, raw := range map[string][]byte{
		"own use":       issue(wire.ForOwnUse, id, now),
		"a transaction": issue(wire.ForTransaction, id, now),
		"another key":   issue(wire.ForEnrolment, protocol.KeyID{8}, now),
		"the future":    issue(wire.ForEnrolment, id, now.Add(clockSkew+time.Millisecond)),
		"a stranger's":  stranger.Issue(wire.ForEnrolment, id, now, DefaultChallengeLife, wire.Hash{}),
	} {
		_, err := send(raw)
		require.ErrorIs(t, err, ErrRefused, name)
		require.Empty(t, s.stored(), name)
	}
	a, err := send(issue(wire.ForEnrolment, id, now.Add(-DefaultChallengeLife)))
	require.NoError(t, err)
	require.Equal(t, wire.CodeExpired, a.Code)
	require.Empty(t, s.stored())
	a, err = send(issue(wire.ForEnrolment, id, now.Add(time.Millisecond-DefaultChallengeLife)))
	require.NoError(t, err)
	require.Equal(t, wire.CodeEnrolled, a.Code)
}

// TestChallengesThatNobodyIssues do not parse: of an unknown purpose, of no life, of more
// than an hour, of the year 10000, and cut.
func TestChallengesThatNobodyIssues(t *testing.T) {
	key, err := wire.NewChallengeKey(bytes.Repeat([]byte{4}, 32))
	require.NoError(t, err)
	now := time.UnixMilli(1_800_000_000_000)
	end := time.UnixMilli(wire.MaxTime)
	for name, raw := range map[string][]byte{
		"no purpose":        key.Issue(0, protocol.KeyID{}, now, time.Minute, wire.Hash{}),
		"unknown purpose":   key.Issue(4, protocol.KeyID{}, now, time.Minute, wire.Hash{}),
		"no life":           key.Issue(wire.ForOwnUse, protocol.KeyID{}, now, 0, wire.Hash{}),
		"over before":       key.Issue(wire.ForOwnUse, protocol.KeyID{}, now, -time.Minute, wire.Hash{}),
		"too long":          key.Issue(wire.ForOwnUse, protocol.KeyID{}, now, wire.MaxChallengeLife+time.Millisecond, wire.Hash{}),
		"expires in 10000":  key.Issue(wire.ForOwnUse, protocol.KeyID{}, end.Add(-time.Second), time.Minute, wire.Hash{}),
		"before 1970":       key.Issue(wire.ForOwnUse, protocol.KeyID{}, time.UnixMilli(-1), time.Minute, wire.Hash{}),
		"another version":   append([]byte{wire.Version + 1}, key.Issue(wire.ForOwnUse, protocol.KeyID{}, now, time.Minute, wire.Hash{})[1:]...),
		"a byte too short":  key.Issue(wire.ForOwnUse, protocol.KeyID{}, now, time.Minute, wire.Hash{})[1:],
		"a byte at the end": append(key.Issue(wire.ForOwnUse, protocol.KeyID{}, now, time.Minute, wire.Hash{}), 0),
	} {
		_, err := wire.ParseChallenge(raw)
		require.ErrorIs(t, err, protocol.ErrMalformed, name)
	}
	_, err = wire.ParseChallenge(key.Issue(wire.ForOwnUse, protocol.KeyID{}, now, wire.MaxChallengeLife, wire.Hash{}))
	require.NoError(t, err)
}

// TestRecordsAreBoundToTheirKey: who can write to the store puts one key's sealed parts
// into another's record, or all of it under another id with its tries as new, and gets
// nothing for it.
func TestRecordsAreBoundToTheirKey(t *testing.T) {
	s := newService(t)
	victim := newReadyPhone(t, s)
	thief := newReadyPhone2(t, s)
	change := func(id protocol.KeyID, change func(r *record)) {
		value, version, err := s.store.Load(t.Context(), recordID(id))
		require.NoError(t, err)
		rec, err := parseRecord(value)
		require.NoError(t, err)
		change(rec)
		value, err = rec.encode()
		require.NoError(t, err)
		require.NoError(t, s.store.Swap(t.Context(), recordID(id), version, value))
	}
	mine, theirs := loadRecord(t, s, thief.id), loadRecord(t, s, victim.id)

	// The victim's record once more, under another id, and a copy of the victim's phone.
	id := protocol.KeyID{5}
	value, err := theirs.encode()
	require.NoError(t, err)
	require.NoError(t, s.store.Create(t.Context(), recordID(id), value))
	copied := copyOf(t, victim)
	f := copied.forgery(t, protocol.OpRefresh, copied, protocoltest.WrongPIN)
	f.id = id
	f.with(t, mustChallenge(t, s, id)).requireRefused(t, s, "a record under another id")

	// The victim's share behind the thief's own K_dev, and the victim's lockbox on the
	// thief's phone.
	change(thief.id, func(r *record) { r.sealedShare, r.public = theirs.sealedShare, theirs.public })
	c, answered := thief.forgery(t, protocol.OpChangePIN, copied, protocoltest.RightPIN).send(t, s)
	require.True(t, answered)
	require.Equal(t, wire.CodeLater, c, "the sealer does not open it")

	// The thief's own share for the victim's final key, and the final key alone.
	change(thief.id, func(r *record) { r.sealedShare, r.public = mine.sealedShare, theirs.public })
	c, _ = thief.forgery(t, protocol.OpChangePIN, thief, protocoltest.RightPIN).send(t, s)
	require.Equal(t, wire.CodeLater, c, "another final key")
	change(thief.id, func(r *record) { r.public = mine.public })
	c, _ = thief.forgery(t, protocol.OpChangePIN, thief, protocoltest.RightPIN).send(t, s)
	require.Equal(t, wire.CodeRight, c)
}

func mustChallenge(t *testing.T, s *service, id protocol.KeyID) []byte {
	raw, err := s.Challenge(t.Context(), id)
	require.NoError(t, err)
	return raw
}

// TestPendingEndsOnTime: a key that waits for its confirmation is confirmed a millisecond
// before its end, and dead at it; and nothing but a confirmation is looked at.
func TestPendingEndsOnTime(t *testing.T) {
	for _, late := range []bool{false, true} {
		s := newService(t)
		p := newPhone(t, s, nil)
		p.enroll(t)
		for _, op := range []protocol.Operation{protocol.OpSign, protocol.OpChangePIN, protocol.OpRefresh} {
			c, answered := p.forgery(t, op, p, protocoltest.RightPIN).send(t, s)
			require.True(t, answered)
			require.Equal(t, wire.CodeUnconfirmed, c, op)
		}
		s.clock.Add(DefaultPendingLife - time.Millisecond)
		if late {
			s.clock.Add(time.Millisecond)
		}
		err := p.Confirm(t.Context(), p.challenge(t), protocoltest.RightPIN)
		rec := loadRecord(t, s, p.id)
		if !late {
			require.NoError(t, err)
			require.Equal(t, Active, rec.condition)
			continue
		}
		require.ErrorIs(t, err, limiter.ErrDestroyed)
		require.Equal(t, Destroyed, rec.condition)
		require.Equal(t, protocol.ReasonExpired, rec.reason)
		require.Empty(t, rec.sealedShare)
	}
}

// TestEnrolledAnswerMustBe the device's own key or its product, with a challenge for this
// key: a server that answers anything else is not believed, and the enrolment stays open.
func TestEnrolledAnswerMustBe(t *testing.T) {
	s := newService(t)
	own, server := splitkeytest.Key(2048).PublicKey, splitkeytest.NamedKey(splitkeytest.Server, 2048).PublicKey
	product := new(big.Int).Mul(own.N, server.N)
	var forge func(*wire.Answer)
	p := newPhone(t, s, nil)
	p.transport = func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := s.Handle(ctx, request)
		if err != nil || forge == nil {
			return response, err
		}
		st, err := protocoltest.ParseState(p.state.Data)
		require.NoError(t, err)
		opened, err := st.Pending.ResponseKey().Open(response)
		require.NoError(t, err)
		a, err := wire.ParseAnswer(opened)
		require.NoError(t, err)
		forge(a)
		encoded, err := a.Encode()
		require.NoError(t, err)
		return st.Pending.ResponseKey().Seal(encoded)
	}
	forge = func(e *wire.Answer) { e.Public.N = server.N }
	client, share := protocoltest.Shares()
	options := device.EnrollOptions{Challenge: mustEnrollChallenge(t, s), PIN: protocoltest.RightPIN, Client: client, Server: share}
	require.ErrorContains(t, p.Enroll(t.Context(), options), "unacceptable answer")
	for name, f := range map[string]func(e *wire.Answer){
		"another exponent": func(e *wire.Answer) { e.Public.E = 3 },
		"the square":       func(e *wire.Answer) { e.Public.N = new(big.Int).Mul(own.N, own.N) },
		"a short factor":   func(e *wire.Answer) { e.Public.N = new(big.Int).Mul(own.N, big.NewInt(7)) },
		"a factor of another size": func(e *wire.Answer) {
			e.Public.N = new(big.Int).Mul(own.N, splitkeytest.NamedKey(splitkeytest.Server, 3072).N)
		},
		"no multiple":               func(e *wire.Answer) { e.Public.N = new(big.Int).Add(product, big.NewInt(2)) },
		"another key's challenge":   func(e *wire.Answer) { e.Challenge = mustChallenge(t, s, protocol.KeyID{9}) },
		"a challenge of no own use": func(e *wire.Answer) { e.Challenge = mustEnrollChallenge(t, s) },
	} {
		forge = f
		_, err := p.Resume(t.Context())
		require.ErrorIs(t, err, device.ErrUnanswered, name)
		require.ErrorContains(t, err, "unacceptable answer", name)
		status, err := p.Status()
		require.NoError(t, err)
		require.Equal(t, device.Enrolling, status.Phase, name)
	}
	forge = func(*wire.Answer) {}
	_, err := p.Resume(t.Context())
	require.NoError(t, err)
	forge = nil
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
}

// TestRequestsOfAnyLength: what is longer than MaxRequest is not decrypted.
func TestRequestsOfAnyLength(t *testing.T) {
	s := newService(t)
	pub := s.config.HPKE.Current.PublicKey()
	overhead := 2 + 8 + wire.TicketSize + 1120 + wire.TagSize
	for plain, want := range map[int]bool{protocol.MaxRequest - overhead: true, protocol.MaxRequest - overhead + 1: false, 1: true, 0: false} {
		request, _, err := wire.SealRequest(pub, protocol.OpSign, new(wire.Ticket), make([]byte, plain))
		require.NoError(t, err)
		_, err = wire.ParseEnvelope(request)
		require.Equal(t, want, err == nil, plain)
	}
}

// TestEnrolmentOfADeadKey: the same bytes are told that the key is dead, and of what.
func TestEnrolmentOfADeadKey(t *testing.T) {
	s := newService(t)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	request, r, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
	require.NoError(t, err)
	require.Equal(t, wire.CodeEnrolled, deliver(t, s.Server, request, r).Code)
	require.NoError(t, s.Revoke(t.Context(), id, "lost"))
	a := deliver(t, s.Server, request, r)
	require.Equal(t, wire.CodeDestroyed, a.Code)
	require.Equal(t, protocol.ReasonRevoked, a.Reason)
}

// lostStore loses a record, or damages it, at its first change.
type lostStore struct {
	limiter.Store
	value []byte // in place of the record; nil if there is none
	lost  bool
}

func (l *lostStore) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	switch {
	case !l.lost:
		return l.Store.Load(ctx, id)
	case l.value == nil:
		return nil, 0, limiter.ErrNotFound
	}
	return l.value, 1, nil
}

func (l *lostStore) Swap(context.Context, string, uint64, []byte) error {
	l.lost = true
	return limiter.ErrConflict
}

// TestRecordThatIsLost: once the device has proved itself, a record that the store loses
// or damages is a failure of the server's, "later", and no unknown key. A stranger hears
// nothing of it, before and after.
func TestRecordThatIsLost(t *testing.T) {
	for name, value := range map[string][]byte{"lost": nil, "damaged": {1}} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			p := newReadyPhone(t, s)
			store := &lostStore{Store: s.store, value: value}
			node := s.node(t, func(c *Config) { c.Store = store })
			p.transport = node.Handle
			err := p.Refresh(t.Context(), p.challenge(t))
			require.True(t, store.lost)
			require.ErrorIs(t, err, device.ErrUnanswered)
			require.ErrorContains(t, err, "the server asks to try again")

			_, err = p.Resume(t.Context())
			require.ErrorIs(t, err, device.ErrUnanswered)
			require.ErrorIs(t, err, ErrRefused, "K_dev is gone too: nobody can prove himself")
			store.lost = false
			_, err = node.Handle(t.Context(), forge(t, s, p.id, p.id, protocol.OpSign, wire.DrawSecret()))
			require.ErrorIs(t, err, ErrRefused)
		})
	}
}

package protocol

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/cryptobyte"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// TestEventConsistent: what an event of each kind can have beside its kind, and the records
// with one that cannot be are refused.
func TestEventConsistent(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	last, more := verdict{remaining: 0, total: 0}, verdict{remaining: 2, total: 8}
	for name, c := range map[string]struct {
		e  event
		ok bool
	}{
		"kind 0":                             {event{kind: 0}, false},
		"the first kind":                     {event{kind: enrolledEvent}, true},
		"the last kind":                      {event{kind: destroyedEvent, reason: ReasonRevoked}, true},
		"kind 9":                             {event{kind: destroyedEvent + 1}, false},
		"a signature of one document":        {event{kind: signedEvent, documents: 1}, true},
		"a signature of none":                {event{kind: signedEvent}, false},
		"a document without a signature":     {event{kind: confirmedEvent, documents: 1}, false},
		"a wrong PIN":                        {event{kind: wrongEvent, verdict: more}, true},
		"a wrong PIN with a reason":          {event{kind: wrongEvent, verdict: more, reason: ReasonPIN}, false},
		"the last wrong PIN":                 {event{kind: wrongEvent, verdict: last, reason: ReasonPIN}, true},
		"the last wrong PIN, no reason":      {event{kind: wrongEvent, verdict: last}, false},
		"a verdict without a wrong PIN":      {event{kind: confirmedEvent, verdict: more}, false},
		"a reason without an end":            {event{kind: confirmedEvent, reason: ReasonClone}, false},
		"an unknown reason without an end":   {event{kind: confirmedEvent, reason: 200}, false},
		"destroyed for no reason":            {event{kind: destroyedEvent}, false},
		"destroyed for an unknown reason":    {event{kind: destroyedEvent, reason: 200}, false},
		"a time in the last millisecond":     {event{kind: confirmedEvent, at: maxTime}, true},
		"a time after it":                    {event{kind: confirmedEvent, at: maxTime + 1}, false},
		"a wrong PIN whose lock ends late":   {event{kind: wrongEvent, verdict: verdict{0, 6, int64(maxUntil)}}, true},
		"a wrong PIN whose lock is too late": {event{kind: wrongEvent, verdict: verdict{0, 6, int64(maxUntil) + 1}}, false},
	} {
		r := loadRecord(t, s, p.id)
		r.eventNumber, r.events = 10, []event{c.e}
		value, err := r.encode()
		require.NoError(t, err)
		_, err = parseRecord(value)
		if c.ok {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, ErrRecord, name)
		}
	}
}

// TestLastConsistent: the last request that a record can have.
func TestLastConsistent(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	request := hash{1}
	for name, c := range map[string]struct {
		l  settled
		ok bool
	}{
		"none":                           {settled{}, true},
		"none, with a hash":              {settled{request: request}, false},
		"none, with a fate":              {settled{fate: fateRight}, false},
		"right":                          {settled{number: 1, request: request, fate: fateRight}, true},
		"wrong":                          {settled{number: 1, request: request, fate: fateWrong, verdict: verdict{remaining: 2, total: 8}}, true},
		"cancelled":                      {settled{number: 1, request: request, fate: fateCancelled}, true},
		"no fate":                        {settled{number: 1, request: request}, false},
		"a fate after the last":          {settled{number: 1, request: request, fate: fateCancelled + 1}, false},
		"a verdict on a right PIN":       {settled{number: 1, request: request, fate: fateRight, verdict: verdict{remaining: 2, total: 8}}, false},
		"a verdict on what is cancelled": {settled{number: 1, request: request, fate: fateCancelled, verdict: verdict{total: 8}}, false},
	} {
		r := loadRecord(t, s, p.id)
		r.last = c.l
		value, err := r.encode()
		require.NoError(t, err)
		_, err = parseRecord(value)
		if c.ok {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, ErrRecord, name)
		}
	}
}

// TestDeviceStateConsistent: what a phase can have beside it.
func TestDeviceStateConsistent(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	base := func() *deviceState {
		st, err := parseDeviceState(p.state.data, nil)
		require.NoError(t, err)
		return st
	}
	transaction, err := s.ChallengeSign(t.Context(), p.id, digestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	c, err := parseChallenge(transaction)
	require.NoError(t, err)
	pendingOf := func(op Operation) *pending { return &pending{op: op, challenge: c} }
	for name, change := range map[string]func(st *deviceState){
		"ready, an enrolment pending": func(st *deviceState) { st.pending = pendingOf(OpEnroll) },
		"enrolling, nothing pending":  func(st *deviceState) { st.phase = Enrolling },
		"dead, with a key":            func(st *deviceState) { st.phase, st.reason = Dead, ReasonPIN },
		"dead, a request pending": func(st *deviceState) {
			st.phase, st.reason, st.key, st.pending = Dead, ReasonPIN, nil, pendingOf(OpSign)
		},
		"dead, for no reason":         func(st *deviceState) { st.phase, st.key = Dead, nil },
		"ready, with a reason":        func(st *deviceState) { st.reason = ReasonPIN },
		"ready, without a key":        func(st *deviceState) { st.key = nil },
		"ready, without a lockbox":    func(st *deviceState) { st.key.lockbox = nil },
		"no key, with a key":          func(st *deviceState) { st.phase = NoKey },
		"a phase after the last":      func(st *deviceState) { st.phase = Superseded + 1 },
		"enrolling, with a known key": func(st *deviceState) { st.phase, st.pending = Enrolling, pendingOf(OpEnroll) },
		"superseded, with a lockbox":  func(st *deviceState) { st.phase, st.reason = Superseded, ReasonRevoked },
		"superseded, a request pending": func(st *deviceState) {
			st.phase, st.reason, st.key.lockbox, st.pending = Superseded, ReasonRevoked, nil, pendingOf(OpSign)
		},
	} {
		st := base()
		require.True(t, st.consistent())
		change(st)
		require.False(t, st.consistent(), name)
	}

	// A challenge that the key keeps for its own use is for that; for a Report, one of a request of its own.
	ended := func() *deviceState {
		st := base()
		require.NoError(t, st.end(ReasonClone, nil, false))
		return st
	}
	for _, c := range []struct {
		st        *deviceState
		challenge []byte
		good      bool
	}{
		{base(), p.challenge(t), true}, {base(), transaction, false}, {base(), mustEnrollChallenge(t, s), false},
		{ended(), p.challenge(t), true}, {ended(), transaction, true}, {ended(), mustEnrollChallenge(t, s), false},
	} {
		c.st.key.challenge = c.challenge
		data, err := c.st.encode(nil)
		require.NoError(t, err)
		_, err = parseDeviceState(data, nil)
		if c.good {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrState)
		}
	}

	// The longest request that is pending.
	own, err := parseChallenge(p.challenge(t))
	require.NoError(t, err)
	for n, good := range map[int]bool{1: true, MaxRequest: true, MaxRequest + 1: false} {
		st := base()
		st.pending = &pending{op: OpRefresh, challenge: own, next: drawSecret(), secret: drawSecret(), request: make([]byte, n)}
		data, err := st.encode(nil)
		require.NoError(t, err)
		again, err := parseDeviceState(data, nil)
		if good {
			require.NoError(t, err)
			require.Len(t, again.pending.request, n)
		} else {
			require.ErrorIs(t, err, ErrState)
		}
	}

	// Another magic, under a checksum that is right.
	data := append([]byte("TDxx"), p.state.data[4:len(p.state.data)-sha256.Size]...)
	sum := sha256.Sum256(data)
	_, err = parseDeviceState(append(data, sum[:]...), nil)
	require.ErrorIs(t, err, ErrState)
}

// TestRefusedIsWrittenOnce: a lock that is known is answered without a write; one that began
// anew is written.
func TestRefusedIsWrittenOnce(t *testing.T) {
	tr := &trial{now: 1000}
	locked := &limiter.LockedError{Until: time.UnixMilli(5000)}
	fresh := limiter.Counter{}
	other := fresh.Destroy()
	for _, c := range []struct {
		state limiter.Counter
		write bool
	}{{fresh, false}, {other, true}} {
		rec := &record{counter: fresh}
		d, err := tr.refuse(rec, c.state, locked)
		require.NoError(t, err)
		require.Equal(t, c.write, d.write)
		require.Equal(t, codeLocked, d.answer.code)
		require.Equal(t, int64(5000), d.answer.verdict.until)
		require.Equal(t, c.state, rec.counter)
	}
	broken := errors.New("broken")
	_, err := tr.refuse(&record{}, fresh, broken)
	require.ErrorIs(t, err, broken)
}

// TestBinding: what a transaction's challenge is bound to, as docs/protocol.md has it.
func TestBinding(t *testing.T) {
	m, err := newMessages([][]byte{digestOf("a"), digestOf("b")}, crypto.SHA256)
	require.NoError(t, err)
	text := append([]byte("tandem v2 transaction"), m.hash, byte(m.padding), 2)
	text = append(append(text, digestOf("a")...), digestOf("b")...)
	require.Equal(t, hash(sha256.Sum256(text)), m.binding())
}

// TestEventNumberInJSON: an event that no record numbers has no number.
func TestEventNumberInJSON(t *testing.T) {
	for number, want := range map[uint64]any{0: nil, 1: 1.0, 7: 7.0} {
		text, err := json.Marshal(Event{Number: number, Kind: eventSigned})
		require.NoError(t, err)
		var object map[string]any
		require.NoError(t, json.Unmarshal(text, &object))
		require.Equal(t, want, object["event"])
	}
}

// TestHiddenSaysSo: what prints nothing of itself says what it is.
func TestHiddenSaysSo(t *testing.T) {
	require.Equal(t, "protocol.EnrollOptions(hidden)", fmt.Sprint(EnrollOptions{}))
	require.Equal(t, "protocol.SoftwareSealer(invalid)", fmt.Sprint(SoftwareSealer{}))
}

// TestMostSignatures: an answer has as many signatures as a request may have documents.
func TestMostSignatures(t *testing.T) {
	for count, ok := range map[int]bool{0: false, 1: true, MaxDocuments: true, MaxDocuments + 1: false} {
		s := cryptobyte.String(append([]byte{byte(count), 1, 0}, make([]byte, 256*count)...))
		a := new(answer)
		require.Equal(t, ok, a.readSignatures(&s), count)
		if ok {
			require.Len(t, a.signatures, count)
		}
	}
}

// TestClockAtItsBounds: the first and the last millisecond are times, the ones beside them are
// none, and nothing is settled then.
func TestClockAtItsBounds(t *testing.T) {
	var now time.Time
	s := newService(t, func(c *Config) {
		clock := c.Clock
		c.Clock = func() time.Time {
			if now.IsZero() {
				return clock()
			}
			return now
		}
	})
	for ms, ok := range map[int64]bool{-1: false, 0: true, maxTime: true, maxTime + 1: false} {
		now = time.UnixMilli(ms)
		got, err := s.now()
		require.Equal(t, ok, err == nil, ms)
		if ok {
			require.Equal(t, ms, got)
		}
	}
	now = time.Time{}
	p := newPhone(t, s, nil)
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	now = time.UnixMilli(-1)
	client, server := testShares()
	err = p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, ErrUnanswered)
}

// TestLongestChallenge: challenges may live for an hour.
func TestLongestChallenge(t *testing.T) {
	for life, ok := range map[time.Duration]bool{time.Millisecond: true, time.Hour: true, time.Hour + time.Millisecond: false, -1: false} {
		config := newService(t).config
		config.ChallengeLife = life
		_, err := NewServer(config)
		require.Equal(t, ok, err == nil, "%v: %v", life, err)
	}
}

// unreadable is a store of which some records cannot be read.
type unreadable struct {
	limiter.Store
	prefix string
}

func (u *unreadable) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	if len(id) >= len(u.prefix) && id[:len(u.prefix)] == u.prefix {
		return nil, 0, errors.New("unreadable")
	}
	return u.Store.Load(ctx, id)
}

// TestUnreadableIndex: where the server cannot tell whether a modulus is taken, it enrols nobody.
func TestUnreadableIndex(t *testing.T) {
	s := newService(t, func(c *Config) { c.Store = &unreadable{c.Store, "n1/"} })
	p := newPhone(t, s, nil)
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := testShares()
	err = p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, ErrUnanswered)
	require.Contains(t, s.logged(), "unreadable")
}

// TestEnrollTakesUp: Enroll with the challenge that is pending sends the same request again,
// and looks at nothing else; with another it starts over.
func TestEnrollTakesUp(t *testing.T) {
	s := newService(t)
	var sent [][]byte
	down := true
	p := newPhone(t, s, func(ctx context.Context, request []byte) ([]byte, error) {
		sent = append(sent, append([]byte(nil), request...))
		if down {
			return nil, errors.New("down")
		}
		return s.Handle(ctx, request)
	})
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, another, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := testShares()
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: server}), ErrUnanswered)
	sent = sent[len(sent)-1:]
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: newPIN}), ErrUnanswered)
	require.Equal(t, sent[0], sent[len(sent)-1])
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: another, PIN: rightPIN, Client: client, Server: server}), ErrUnanswered)
	require.NotEqual(t, sent[0], sent[len(sent)-1])
	down = false
	require.NoError(t, p.Enroll(t.Context(), EnrollOptions{Challenge: another, PIN: newPIN}))
}

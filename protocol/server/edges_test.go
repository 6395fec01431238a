package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// TestEventConsistent: what an event of each kind can have beside its kind, and the
// records with one that cannot be are refused.
func TestEventConsistent(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	last, more := wire.Verdict{Remaining: 0, Total: 0}, wire.Verdict{Remaining: 2, Total: 8}
	for name, c := range map[string]struct {
		e  event
		ok bool
	}{
		"kind 0":                             {event{kind: 0}, false},
		"the first kind":                     {event{kind: enrolledEvent}, true},
		"the last kind":                      {event{kind: destroyedEvent, reason: protocol.ReasonRevoked}, true},
		"kind 10":                            {event{kind: recoveredEvent + 1}, false},
		"recovered, with tries left":         {event{kind: recoveredEvent, verdict: more}, true},
		"recovered, with none":               {event{kind: recoveredEvent}, false},
		"a signature of one document":        {event{kind: signedEvent, documents: 1}, true},
		"a signature of none":                {event{kind: signedEvent}, false},
		"a document without a signature":     {event{kind: confirmedEvent, documents: 1}, false},
		"a wrong PIN":                        {event{kind: wrongEvent, verdict: more}, true},
		"a wrong PIN with a reason":          {event{kind: wrongEvent, verdict: more, reason: protocol.ReasonPIN}, false},
		"the last wrong PIN":                 {event{kind: wrongEvent, verdict: last, reason: protocol.ReasonPIN}, true},
		"the last wrong PIN, no reason":      {event{kind: wrongEvent, verdict: last}, false},
		"a verdict without a wrong PIN":      {event{kind: confirmedEvent, verdict: more}, false},
		"a reason without an end":            {event{kind: confirmedEvent, reason: protocol.ReasonClone}, false},
		"an unknown reason without an end":   {event{kind: confirmedEvent, reason: 200}, false},
		"destroyed for no reason":            {event{kind: destroyedEvent}, false},
		"destroyed for an unknown reason":    {event{kind: destroyedEvent, reason: 200}, false},
		"a time in the last millisecond":     {event{kind: confirmedEvent, at: wire.MaxTime}, true},
		"a time after it":                    {event{kind: confirmedEvent, at: wire.MaxTime + 1}, false},
		"a wrong PIN whose lock ends late":   {event{kind: wrongEvent, verdict: wire.Verdict{Remaining: 0, Total: 6, Until: int64(wire.MaxUntil)}}, true},
		"a wrong PIN whose lock is too late": {event{kind: wrongEvent, verdict: wire.Verdict{Remaining: 0, Total: 6, Until: int64(wire.MaxUntil) + 1}}, false},
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
	request := wire.Hash{1}
	for name, c := range map[string]struct {
		l  settled
		ok bool
	}{
		"none":                           {settled{}, true},
		"none, with a hash":              {settled{request: request}, false},
		"none, with a fate":              {settled{fate: wire.FateRight}, false},
		"right":                          {settled{number: 1, request: request, fate: wire.FateRight}, true},
		"wrong":                          {settled{number: 1, request: request, fate: wire.FateWrong, verdict: wire.Verdict{Remaining: 2, Total: 8}}, true},
		"cancelled":                      {settled{number: 1, request: request, fate: wire.FateCancelled}, true},
		"no fate":                        {settled{number: 1, request: request}, false},
		"a fate after the last":          {settled{number: 1, request: request, fate: wire.FateCancelled + 1}, false},
		"a verdict on a right PIN":       {settled{number: 1, request: request, fate: wire.FateRight, verdict: wire.Verdict{Remaining: 2, Total: 8}}, false},
		"a verdict on what is cancelled": {settled{number: 1, request: request, fate: wire.FateCancelled, verdict: wire.Verdict{Total: 8}}, false},
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

// TestRefusedIsWrittenOnce: a lock that is known is answered without a write; one that
// began anew is written.
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
		require.Equal(t, wire.CodeLocked, d.answer.Code)
		require.Equal(t, int64(5000), d.answer.Verdict.Until)
		require.Equal(t, c.state, rec.counter)
	}
	broken := errors.New("broken")
	_, err := tr.refuse(&record{}, fresh, broken)
	require.ErrorIs(t, err, broken)
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
	require.Equal(t, "device.EnrollOptions(hidden)", fmt.Sprint(device.EnrollOptions{}))
	require.Equal(t, "server.SoftwareSealer(invalid)", fmt.Sprint(SoftwareSealer{}))
}

// TestClockAtItsBounds: the first and the last millisecond are times, the ones beside
// them are none, and nothing is settled then.
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
	for ms, ok := range map[int64]bool{-1: false, 0: true, wire.MaxTime: true, wire.MaxTime + 1: false} {
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
	client, server := protocoltest.Shares()
	err = p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, device.ErrUnanswered)

	// What the service asks for by itself is an error as well, for a key that there is.
	now = time.Time{}
	p.enroll(t)
	for _, ms := range []int64{-1, wire.MaxTime + 1} {
		now = time.UnixMilli(ms)
		_, err = s.Status(t.Context(), p.id)
		require.Error(t, err)
		_, err = s.Expire(t.Context(), p.id)
		require.Error(t, err)
		require.Error(t, s.Revoke(t.Context(), p.id, "x"))
	}
	now = time.Time{}
	require.Equal(t, Pending, loadRecord(t, s, p.id).condition)
}

// TestLongestChallenge: challenges may live for an hour.
func TestLongestChallenge(t *testing.T) {
	for life, ok := range map[time.Duration]bool{time.Millisecond: true, time.Hour: true, time.Hour + time.Millisecond: false, -1: false} {
		config := newService(t).config
		config.ChallengeLife = life
		_, err := New(config)
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

// TestUnreadableIndex: where the server cannot tell whether a modulus is taken, it enrols
// nobody.
func TestUnreadableIndex(t *testing.T) {
	s := newService(t, func(c *Config) { c.Store = &unreadable{c.Store, "n1/"} })
	p := newPhone(t, s, nil)
	_, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := protocoltest.Shares()
	err = p.Enroll(t.Context(), device.EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN, Client: client, Server: server})
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.Contains(t, s.logged(), "unreadable")
}

// TestOvertakenReservation: of two nodes that both find the owner of a modulus expired,
// one makes its key the owner. The other's request is refused, unless it is the same
// request.
func TestOvertakenReservation(t *testing.T) {
	for _, same := range []bool{true, false} {
		s := newService(t)
		newPhone(t, s, nil).enroll(t)
		s.clock.Add(DefaultPendingLife)
		_, share := protocoltest.Shares()
		index := indexID(share)
		id, winner := protocol.KeyID{1}, protocol.KeyID{2}
		if same {
			winner = id
		}
		now, err := s.now()
		require.NoError(t, err)
		faster := func() {
			ours, err := s.reserve(t.Context(), index, winner, now)
			require.NoError(t, err)
			require.True(t, ours)
		}
		node := s.node(t, func(c *Config) { c.Store = &lateStore{c.Store, index, faster} })
		ours, err := node.reserve(t.Context(), index, id, now)
		require.NoError(t, err)
		require.Equal(t, same, ours)
		owner, _, err := s.owner(t.Context(), index)
		require.NoError(t, err)
		require.Equal(t, winner, *owner)
	}
}

// lateStore is the store of a node that another one overtakes at a record.
type lateStore struct {
	limiter.Store
	id     string
	faster func()
}

func (l *lateStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if id == l.id {
		l.faster()
	}
	return l.Store.Swap(ctx, id, version, value)
}

// TestRecordOfAnotherKey: a record whose final key is not that of the share under its
// seal makes no signature.
func TestRecordOfAnotherKey(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	rec := loadRecord(t, s, p.id)
	rec.public = splitkeytest.NamedKey(splitkeytest.Server, 2048).PublicKey
	keys, err := openDeviceSecrets(t.Context(), s.config.Sealer, authKeyAAD(p.id), rec.sealedKey)
	require.NoError(t, err)
	err = (&trial{server: s.Server, id: p.id, secrets: keys}).restore(t.Context(), rec)
	require.ErrorIs(t, err, ErrRecord)
	require.ErrorContains(t, err, "another final key")
	require.NoError(t, (&trial{server: s.Server, id: p.id, secrets: keys}).restore(t.Context(), loadRecord(t, s, p.id)))
}

package server

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
	"github.com/tandem-rsa/tandem/splitkey"
)

var auditLine = regexp.MustCompile(`level=(\S+) msg=(.*) key=([0-9a-f]+)(.*)`)

var numbered = regexp.MustCompile(` event=\d+`)

// events returns the audit events about a key since the last call, as level, text and
// attributes.
func (s *service) events(id protocol.KeyID) []string {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	var events []string
	for line := range strings.Lines(s.log.String()) {
		if m := auditLine.FindStringSubmatch(line); m != nil && m[3] == id.String() {
			events = append(events, m[1]+" "+strings.ReplaceAll(m[2], `"`, "")+numbered.ReplaceAllString(strings.ReplaceAll(m[4], `"`, ""), ""))
		}
	}
	s.log.Reset()
	return events
}

// TestAuditEvents: what happens to a key is told, each thing once, by the node that did
// it, and nothing else.
func TestAuditEvents(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	require.Equal(t, []string{"INFO key enrolled bits=4096"}, s.events(p.id))
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), device.ErrPhase)
	require.Equal(t, []string{"INFO request cancelled"}, s.events(p.id))
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	require.Equal(t, []string{"INFO key confirmed"}, s.events(p.id))
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	require.Equal(t, []string{"INFO signature made documents=1"}, s.events(p.id))
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	require.Equal(t, []string{"INFO token refreshed"}, s.events(p.id))
	require.NoError(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN))
	require.Equal(t, []string{"INFO PIN proved"}, s.events(p.id))

	guess := func() []string {
		_, err := p.sign(t, "x", protocoltest.WrongPIN)
		require.Error(t, err)
		return s.events(p.id)
	}
	until := func(d time.Duration) string {
		return s.clock.Now().Add(d).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	require.Equal(t, []string{"WARN wrong PIN tries_left=2 tries_left_in_all=8"}, guess())
	require.Equal(t, []string{"WARN wrong PIN tries_left=1 tries_left_in_all=7"}, guess())
	require.Equal(t, []string{"WARN wrong PIN tries_left=0 tries_left_in_all=6", "WARN key locked until=" + until(3*time.Hour)}, guess())
	require.Equal(t, []string{"INFO request cancelled"}, guess(), "locked")
	s.clock.Add(3 * time.Hour)
	for range 2 {
		guess()
	}
	require.Equal(t, []string{"WARN wrong PIN tries_left=0 tries_left_in_all=3", "WARN key locked until=" + until(24*time.Hour)}, guess())
	s.clock.Add(24 * time.Hour)
	for range 2 {
		guess()
	}
	require.Equal(t, []string{"WARN wrong PIN tries_left=0 tries_left_in_all=0", "ERROR key destroyed reason=too many wrong PINs"}, guess())
	require.Empty(t, guess(), "dead")

	s = newService(t)
	p = newReadyPhone(t, s)
	thief := copyOf(t, p)
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	s.events(p.id)
	_, err = thief.sign(t, "x", protocoltest.WrongPIN)
	require.Error(t, err)
	require.Equal(t, []string{"ERROR clone detected", "ERROR key destroyed reason=the device's storage was copied"}, s.events(p.id))
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.Error(t, err)
	require.NoError(t, s.Revoke(t.Context(), p.id, "too late"))
	require.Equal(t, []string{"INFO revoking a key why=too late"}, s.events(p.id))

	s = newService(t)
	p = newReadyPhone(t, s)
	s.events(p.id)
	for range 2 {
		require.NoError(t, s.Revoke(t.Context(), p.id, "phone stolen"))
	}
	require.Equal(t, []string{"INFO revoking a key why=phone stolen", "INFO key revoked", "ERROR key destroyed reason=revoked",
		"INFO revoking a key why=phone stolen"}, s.events(p.id))

	expired := []string{"INFO enrolment expired", "ERROR key destroyed reason=enrolment not confirmed in time"}
	for name, notice := range map[string]func(p *phone) error{
		"device comes too late": func(p *phone) error { _ = p.Confirm(t.Context(), p.challenge(t), protocoltest.RightPIN); return nil },
		"service asks":          func(p *phone) error { _, err := s.Expire(t.Context(), p.id); return err },
	} {
		s = newService(t)
		p = newPhone(t, s, nil)
		p.enroll(t)
		s.events(p.id)
		s.clock.Add(DefaultPendingLife)
		for range 2 {
			require.NoError(t, notice(p), name)
		}
		require.Equal(t, expired, s.events(p.id), name)
	}

	s = newService(t)
	newReadyPhone(t, s)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	s.events(id)
	_, share := protocoltest.Shares()
	exchange(t, s, protocol.OpEnroll, id, protocoltest.EnrollmentOf(t, challenge, share.Bytes()))
	require.Equal(t, []string{"WARN enrolment refused reason=it is enrolled already"}, s.events(id))
}

// TestEventsSurviveACrash: where the node dies after the write, or the store does not say
// that it wrote, what happened is delivered by the next request of the key, or by a
// sweep; once, if one node does it.
func TestEventsSurviveACrash(t *testing.T) {
	for _, sweep := range []bool{false, true} {
		for name, act := range map[string]func(owner, thief *phone, s *service) error{
			"wrong PIN": func(owner, _ *phone, _ *service) error {
				_, err := owner.sign(t, "x", protocoltest.WrongPIN)
				return err
			},
			"clone": func(_, thief *phone, _ *service) error {
				_, err := thief.sign(t, "x", protocoltest.WrongPIN)
				return err
			},
			"revoked": func(owner, _ *phone, s *service) error { return s.Revoke(t.Context(), owner.id, "lost") },
		} {
			store, k := &forgetfulStore{}, new(sink)
			s := newService(t, func(c *Config) { store.Store = c.Store; c.Store, c.Audit = store, k })
			owner := newReadyPhone(t, s)
			thief := copyOf(t, owner)
			_, err := owner.sign(t, "x", protocoltest.RightPIN)
			require.NoError(t, err)
			before := len(k.events)
			store.forgets = true
			require.Error(t, act(owner, thief, s), name)
			store.forgets = false
			require.Len(t, k.events, before)
			if sweep {
				require.NoError(t, s.DeliverEvents(t.Context(), owner.id))
				require.Empty(t, loadRecord(t, s, owner.id).events)
			} else if name == "wrong PIN" {
				_, err = owner.Resume(t.Context()) // writes nothing
				require.Error(t, err)
			} else {
				_, err = owner.sign(t, "x", protocoltest.RightPIN)
				require.ErrorIs(t, err, limiter.ErrDestroyed)
			}
			require.Greater(t, len(k.events), before)
			last := uint64(0)
			for _, e := range k.events {
				require.True(t, e.Number == last || e.Number == last+1, "in order, and one of each")
				require.Equal(t, owner.id, e.Key)
				last = e.Number
			}
			require.Equal(t, loadRecord(t, s, owner.id).eventNumber, last)
			require.NoError(t, s.DeliverEvents(t.Context(), owner.id))
			require.NoError(t, s.DeliverEvents(t.Context(), owner.id))
		}
	}
	require.ErrorIs(t, newService(t).DeliverEvents(t.Context(), protocol.KeyID{}), ErrUnknownKey)
}

// newFullPhone returns a phone whose record is full of events, since the sink is down,
// and a copy of it made before.
func newFullPhone(t *testing.T) (*service, *phone, *phone, *sink) {
	k := new(sink)
	s := newService(t, func(c *Config) { c.Audit = k })
	p := newReadyPhone(t, s)
	old := copyOf(t, p)
	k.fails = true
	for range maxEvents {
		require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	}
	require.Len(t, loadRecord(t, s, p.id).events, maxEvents)
	require.Contains(t, s.logged(), errSinkFull.Error())
	return s, p, old, k
}

// TestEventsFullStop: while the sink is down eight events wait in the record. Then the
// key stops, loudly: no PIN is counted, no signature made, and nothing is lost.
func TestEventsFullStop(t *testing.T) {
	s, p, _, k := newFullPhone(t)
	before := len(k.events)
	stored := s.recorded(t, p.id)
	_, err := p.sign(t, "x", protocoltest.WrongPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.Contains(t, s.logged(), "level=ERROR msg=\"request not finished\" key="+p.id.String()+" cause=\"server: too many events are not delivered")
	require.Equal(t, stored, s.recorded(t, p.id))
	status, err := s.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.Equal(t, maxEvents, status.Waiting)

	k.fails = false
	var wrong *limiter.WrongPINError
	_, err = p.Resume(t.Context())
	require.ErrorAs(t, err, &wrong)
	require.Len(t, k.events, before+maxEvents+1)
	last := k.events[len(k.events)-1]
	require.Equal(t, eventWrong, last.Kind)
	require.Equal(t, uint64(len(k.events)), last.Number)
}

// TestDestroyWithoutASink: a sink that is down keeps no key alive. The destruction is the
// ninth event in the record and the last one of the key; it is delivered when the sink is
// back.
func TestDestroyWithoutASink(t *testing.T) {
	for name, c := range map[string]struct {
		destroy func(t *testing.T, s *service, p, old *phone)
		kinds   []string
	}{
		"revoked": {func(t *testing.T, s *service, p, _ *phone) {
			require.NoError(t, s.Revoke(t.Context(), p.id, "stolen"))
			require.NoError(t, s.Revoke(t.Context(), p.id, "again"))
		}, []string{eventRevoked, eventDestroyed}},
		"a copy": {func(t *testing.T, s *service, p, old *phone) {
			_, err := old.sign(t, "x", protocoltest.WrongPIN)
			require.Error(t, err)
		}, []string{eventClone, eventDestroyed}},
	} {
		t.Run(name, func(t *testing.T) {
			s, p, old, k := newFullPhone(t)
			k.events = nil
			c.destroy(t, s, p, old)
			rec := loadRecord(t, s, p.id)
			require.Equal(t, Destroyed, rec.condition)
			require.Empty(t, rec.sealedShare)
			require.Len(t, rec.events, maxEvents+1)
			_, err := p.sign(t, "x", protocoltest.RightPIN)
			var dead *protocol.DestroyedError
			require.ErrorAs(t, err, &dead)
			require.Empty(t, k.events)
			k.fails = false
			require.NoError(t, s.DeliverEvents(t.Context(), p.id))
			require.Equal(t, append(slices.Repeat([]string{eventRefreshed}, maxEvents), c.kinds...), k.taken(p.id))
			require.Empty(t, loadRecord(t, s, p.id).events)
		})
	}
}

// TestRefusalsAreToldOnce: the holder of a challenge for an enrolment cannot fill the
// sink with refusals.
func TestRefusalsAreToldOnce(t *testing.T) {
	k := new(sink)
	s := newService(t, func(c *Config) { c.Audit = k })
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	for i := range 5 {
		plaintext := protocoltest.EnrollmentOf(t, challenge, make([]byte, 300+i))
		require.Equal(t, wire.CodeKeyRefused, exchange(t, s, protocol.OpEnroll, id, plaintext).Code)
	}
	require.Equal(t, []string{eventRefused}, k.taken(id))
	other, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.Equal(t, wire.CodeKeyRefused, exchange(t, s, protocol.OpEnroll, other, protocoltest.EnrollmentOf(t, challenge, make([]byte, 300))).Code)
	require.Equal(t, []string{eventRefused}, k.taken(other))
}

// TestEventsFromTwoNodes: a node delivers again what another node may have delivered,
// with the same number.
func TestEventsFromTwoNodes(t *testing.T) {
	k := new(sink)
	s := newService(t, func(c *Config) { c.Audit = k })
	p := newReadyPhone(t, s)
	s.Server = s.node(t)
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	var numbers []uint64
	for _, e := range k.events {
		numbers = append(numbers, e.Number)
	}
	require.Equal(t, []uint64{1, 2, 2, 3}, numbers)
	require.Equal(t, k.events[1], k.events[2])
}

// TestEventsOfAStoreThatWentBack: where the store is put back to an earlier value under a
// node that runs on, what happens from then on is delivered, though the node has
// delivered other events under the same numbers.
func TestEventsOfAStoreThatWentBack(t *testing.T) {
	for refreshes := range 4 { // fewer, as many, and more than the events that were lost
		k, down := new(sink), &sink{fails: true}
		s := newService(t, func(c *Config) { c.Audit = k })
		p := newReadyPhone(t, s)
		backup, state := s.recorded(t, p.id), p.state.Copy()
		for range 2 {
			_, err := p.sign(t, "x", protocoltest.WrongPIN)
			require.Error(t, err)
		}
		_, version, err := s.store.Load(t.Context(), recordID(p.id))
		require.NoError(t, err)
		require.NoError(t, s.store.Swap(t.Context(), recordID(p.id), version, backup))
		p.state.Data = state.Data
		s.clock.Add(time.Millisecond) // what happens now has another time
		k.taken(p.id)

		up := s.Server
		s.Server = s.node(t, func(c *Config) { c.Audit = down })
		for range refreshes {
			require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
		}
		s.Server = up
		_, err = p.sign(t, "x", protocoltest.WrongPIN)
		require.Error(t, err)
		require.Equal(t, append(slices.Repeat([]string{eventRefreshed}, refreshes), eventWrong), k.taken(p.id))
	}
}

// forgetfulStore writes and then says that it does not know.
type forgetfulStore struct {
	limiter.Store
	forgets bool
}

func (f *forgetfulStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	err := f.Store.Swap(ctx, id, version, value)
	if err == nil && f.forgets {
		return errors.New("connection lost: who knows whether it was written")
	}
	return err
}

// countingSealer counts what is opened.
type countingSealer struct {
	Sealer
	opened int
}

func (c *countingSealer) Open(ctx context.Context, aad, sealed []byte) ([]byte, error) {
	c.opened++
	return c.Sealer.Open(ctx, aad, sealed)
}

// TestStrangerCannotProbe: a forged request costs one use of the sealer, which may take
// an HSM milliseconds, whether there is such a key or not.
func TestStrangerCannotProbe(t *testing.T) {
	sealer := &countingSealer{}
	s := newService(t, func(c *Config) { sealer.Sealer = c.Sealer; c.Sealer = sealer })
	p := newReadyPhone(t, s)
	for _, id := range []protocol.KeyID{p.id, {3: 1}, {4: 1}, p.id} {
		sealer.opened = 0
		_, err := s.Handle(t.Context(), forge(t, s, id, id, protocol.OpSign, wire.DrawSecret()))
		require.ErrorIs(t, err, ErrRefused)
		require.Equal(t, 1, sealer.opened)
	}
}

// keepingKeys is a KeySource that looks at its blobs again later.
type keepingKeys struct {
	protocoltest.FixedKeys
	blob []byte
}

func (k *keepingKeys) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	key, _, err := k.FixedKeys.NewKey(ctx)
	return key, k.blob, err
}

// TestBlobsAreWiped, as KeySource says.
func TestBlobsAreWiped(t *testing.T) {
	keys := &keepingKeys{blob: []byte("fixed")}
	s := newService(t, func(c *Config) { c.Keys = keys })
	newPhone(t, s, nil).enroll(t)
	require.Equal(t, make([]byte, 5), keys.blob)
}

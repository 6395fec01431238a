package protocol

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/splitkey"
)

var auditLine = regexp.MustCompile(`level=(\S+) msg=(.*) key=([0-9a-f]+)(.*)`)

// events returns the audit events about a key since the last call, as level, text and attributes.
func (s *service) events(id KeyID) []string {
	s.logMu.Lock()
	defer s.logMu.Unlock()
	var events []string
	for line := range strings.Lines(s.log.String()) {
		if m := auditLine.FindStringSubmatch(line); m != nil && m[3] == id.String() {
			events = append(events, m[1]+" "+strings.ReplaceAll(m[2], `"`, "")+strings.ReplaceAll(m[4], `"`, ""))
		}
	}
	s.log.Reset()
	return events
}

// TestAuditEvents: what happens to a key is told, each thing once, by the node that did it, and nothing else.
func TestAuditEvents(t *testing.T) {
	s := newService(t)
	p := newPhone(t, s, nil)
	p.enroll(t)
	require.Equal(t, []string{"INFO key enrolled bits=4096"}, s.events(p.id))
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrUnconfirmed)
	require.Empty(t, s.events(p.id))
	require.NoError(t, p.Confirm(t.Context(), nil, rightPIN))
	require.Equal(t, []string{"INFO key confirmed"}, s.events(p.id))
	_, err := p.sign(t, "x", rightPIN)
	require.NoError(t, err)
	require.Equal(t, []string{"INFO signature made"}, s.events(p.id))
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	require.Equal(t, []string{"INFO token refreshed"}, s.events(p.id))
	require.NoError(t, p.ChangePIN(t.Context(), p.challenge(t), rightPIN, newPIN))
	require.Equal(t, []string{"INFO PIN proved"}, s.events(p.id))

	guess := func() []string {
		_, err := p.sign(t, "x", wrongPIN)
		require.Error(t, err)
		return s.events(p.id)
	}
	until := func(d time.Duration) string {
		return s.clock.Now().Add(d).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	require.Equal(t, []string{"WARN wrong PIN tries_left=2 tries_left_in_all=8"}, guess())
	require.Equal(t, []string{"WARN wrong PIN tries_left=1 tries_left_in_all=7"}, guess())
	require.Equal(t, []string{"WARN wrong PIN tries_left=0 tries_left_in_all=6", "WARN key locked until=" + until(3*time.Hour)}, guess())
	require.Empty(t, guess(), "locked")
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
	_, err = p.sign(t, "x", rightPIN)
	require.NoError(t, err)
	s.events(p.id)
	_, err = thief.sign(t, "x", wrongPIN)
	require.Error(t, err)
	require.Equal(t, []string{"ERROR clone detected", "ERROR key destroyed reason=the device's state was copied"}, s.events(p.id))
	_, err = p.sign(t, "x", rightPIN)
	require.Error(t, err)
	require.NoError(t, s.Revoke(t.Context(), p.id, "too late"))
	require.Empty(t, s.events(p.id))

	s = newService(t)
	p = newReadyPhone(t, s)
	s.events(p.id)
	for range 2 {
		require.NoError(t, s.Revoke(t.Context(), p.id, "phone stolen"))
	}
	require.Equal(t, []string{"INFO key revoked why=phone stolen", "ERROR key destroyed reason=revoked"}, s.events(p.id))

	expired := []string{"INFO enrolment expired", "ERROR key destroyed reason=enrolment not confirmed in time"}
	for name, notice := range map[string]func(p *phone) error{
		"device comes too late": func(p *phone) error { _ = p.Confirm(t.Context(), p.challenge(t), rightPIN); return nil },
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
	_, share := testShares()
	exchange(t, s, OpEnroll, id, enrollmentOf(t, challenge, share.Bytes()))
	require.Equal(t, []string{"WARN enrolment refused reason=it is enrolled already"}, s.events(id))
}

// forgetfulStore writes and then says that it does not know.
type forgetfulStore struct {
	pinlock.Store
	forgets bool
}

func (f *forgetfulStore) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	return f.result(f.Store.Swap(ctx, id, version, value))
}

func (f *forgetfulStore) Create(ctx context.Context, id string, value []byte) error {
	err := f.Store.Create(ctx, id, value)
	if id[0] != 'k' {
		return err
	}
	return f.result(err)
}

func (f *forgetfulStore) result(err error) error {
	if err == nil && f.forgets {
		return errors.New("connection lost: who knows whether it was written")
	}
	return err
}

// TestAuditUnknown: an event is told also where the store does not say whether it took place, since whoever tries again
// finds it done.
func TestAuditUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		act  func(owner, thief *phone, s *service) error
		want []string
	}{
		"wrong PIN": {func(owner, _ *phone, _ *service) error { _, err := owner.sign(t, "x", wrongPIN); return err },
			[]string{"WARN wrong PIN tries_left=2 tries_left_in_all=8 stored=unknown"}},
		"clone": {func(_, thief *phone, _ *service) error { _, err := thief.sign(t, "x", wrongPIN); return err },
			[]string{"ERROR clone detected stored=unknown", "ERROR key destroyed reason=the device's state was copied stored=unknown"}},
		"revoked": {func(owner, _ *phone, s *service) error { return s.Revoke(t.Context(), owner.id, "lost") },
			[]string{"INFO key revoked why=lost stored=unknown", "ERROR key destroyed reason=revoked stored=unknown"}},
	} {
		store := &forgetfulStore{}
		s := newService(t, func(c *Config) { store.Store = c.Store; c.Store = store })
		owner := newReadyPhone(t, s)
		thief := copyOf(t, owner)
		_, err := owner.sign(t, "x", rightPIN)
		require.NoError(t, err)
		s.events(owner.id)
		store.forgets = true
		require.Error(t, c.act(owner, thief, s), name)
		store.forgets = false
		var told []string
		for _, e := range s.events(owner.id) {
			if !strings.Contains(e, "request not finished") {
				told = append(told, e)
			}
		}
		require.Equal(t, c.want, told, name)
	}

	store := &forgetfulStore{forgets: true}
	s := newService(t, func(c *Config) { store.Store = c.Store; c.Store = store })
	p := newPhone(t, s, nil)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	client, server := testShares()
	require.ErrorIs(t, p.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: rightPIN, Client: client, Server: server}), ErrUnanswered)
	require.Contains(t, s.events(id), "INFO key enrolled bits=4096 stored=unknown")
	store.forgets = false
	_, err = p.Resume(t.Context())
	require.NoError(t, err)
	require.Empty(t, s.events(id))
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

// TestStrangerCannotProbe: a forged request costs one use of the sealer, which may take an HSM milliseconds, whether there is such a
// key or not.
func TestStrangerCannotProbe(t *testing.T) {
	sealer := &countingSealer{}
	s := newService(t, func(c *Config) { sealer.Sealer = c.Sealer; c.Sealer = sealer })
	p := newReadyPhone(t, s)
	for _, id := range []KeyID{p.id, {3: 1}, {4: 1}, p.id} {
		sealer.opened = 0
		_, err := s.Handle(t.Context(), forge(t, s, id, id, OpSign, drawSecret()))
		require.ErrorIs(t, err, ErrRefused)
		require.Equal(t, 1, sealer.opened)
	}
}

// keepingKeys is a KeySource that looks at its blobs again later.
type keepingKeys struct {
	fixedKeys
	blob []byte
}

func (k *keepingKeys) NewKey(ctx context.Context) (splitkey.RSAKey, []byte, error) {
	key, _, err := k.fixedKeys.NewKey(ctx)
	return key, k.blob, err
}

// TestBlobsAreWiped, as KeySource says.
func TestBlobsAreWiped(t *testing.T) {
	keys := &keepingKeys{blob: []byte("fixed")}
	s := newService(t, func(c *Config) { c.Keys = keys })
	newPhone(t, s, nil).enroll(t)
	require.Equal(t, make([]byte, 5), keys.blob)
}

package server

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

var errSinkFull = errors.New("the disk of the audit log is full")

// sink is an AuditSink in memory that fails on demand.
type sink struct {
	mu     sync.Mutex
	fails  bool
	events []Event
}

func (s *sink) Record(ctx context.Context, e Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails {
		return errSinkFull
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.events = append(s.events, e)
	return nil
}

// taken returns the kinds of the events about a key since the last call.
func (s *sink) taken(id protocol.KeyID) []string {
	var kinds []string
	for _, e := range s.events {
		if e.Key == id {
			kinds = append(kinds, e.Kind)
		}
	}
	s.events = nil
	return kinds
}

// TestAuditSinkStopsRefusals: a refused enrolment belongs to no record. Where the sink
// does not take it the answer is "later".
func TestAuditSinkStopsRefusals(t *testing.T) {
	_, server := protocoltest.Shares()
	k := new(sink)
	s := newService(t, func(c *Config) { c.Audit = k })
	newReadyPhone(t, s)
	k.events, k.fails = nil, true
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	plaintext := protocoltest.EnrollmentOf(t, challenge, server.Bytes())
	require.Equal(t, wire.CodeLater, exchange(t, s, protocol.OpEnroll, id, plaintext).Code)
	k.fails = false
	require.Equal(t, wire.CodeKeyRefused, exchange(t, s, protocol.OpEnroll, id, plaintext).Code)
	require.Equal(t, []string{eventRefused}, k.taken(id))
}

// TestAuditOutlastsTheRequest: who hangs up after his PIN was counted does not keep it
// from the sink.
func TestAuditOutlastsTheRequest(t *testing.T) {
	k := new(sink)
	s := newService(t, func(c *Config) { c.Audit = k })
	ctx, cancel := context.WithCancel(t.Context())
	s.Server = s.node(t, func(c *Config) { c.Store = &cancelsSwap{c.Store, cancel} })
	p := newPhone(t, s, func(_ context.Context, request []byte) ([]byte, error) { return s.Handle(ctx, request) })
	p.enroll(t)
	err := p.Confirm(t.Context(), nil, protocoltest.WrongPIN)
	var wrong *limiter.WrongPINError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, []string{eventEnrolled, eventWrong}, k.taken(p.id))
}

// cancelsSwap is a store during whose Swap the client hangs up.
type cancelsSwap struct {
	limiter.Store
	cancel func()
}

func (c *cancelsSwap) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	defer c.cancel()
	return c.Store.Swap(context.WithoutCancel(ctx), id, version, value)
}

// fullDisk is a writer that fails on demand.
type fullDisk struct {
	strings.Builder
	full bool
}

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.full {
		return 0, errSinkFull
	}
	return f.Builder.Write(p)
}

// TestAuditLogFails: where the writer of a NewAuditLog fails events wait, and then stop
// the answers; with a plain logger they do not, as Config says.
func TestAuditLogFails(t *testing.T) {
	var disk fullDisk
	s := newService(t, func(c *Config) {
		c.Audit = NewAuditLog(slog.NewJSONHandler(&disk, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	p := newReadyPhone(t, s)
	disk.full = true
	for range maxEvents - 1 {
		_, err := p.sign(t, "x", protocoltest.RightPIN)
		require.NoError(t, err)
	}
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	disk.full = false
	_, err = p.Resume(t.Context())
	require.NoError(t, err)
	var kinds []string
	for line := range strings.Lines(disk.String()) {
		var e struct{ Msg, Key, Level, Time string }
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.Equal(t, p.id.String(), e.Key)
		require.Contains(t, e.Time, "2026-03-01T12:00:00")
		kinds = append(kinds, e.Msg)
	}
	want := append([]string{eventEnrolled, eventConfirmed}, slices.Repeat([]string{eventSigned}, maxEvents-1)...)
	require.Equal(t, append(want, eventRefreshed, eventSigned), kinds, "whatever the handler's level")
	require.ErrorIs(t, NewAuditLog(nil).Record(t.Context(), Event{}), protocol.ErrConfig)

	disk.full = true
	s = newService(t, func(c *Config) { c.Log = slog.New(slog.NewJSONHandler(&disk, nil)) })
	newReadyPhone(t, s)
}

// TestOwnFaultsAreLogged: of every "later", and of every refusal that is not the sender's
// fault, the cause is in the log where an operator looks; the sender's faults are below.
func TestOwnFaultsAreLogged(t *testing.T) {
	away := errors.New("connection refused: 10.0.0.7")
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"store":         {func(c *Config) { c.Store = brokenStore{c.Store, away} }, "request refused"},
		"sealer":        {func(c *Config) { c.Sealer = brokenSealer{c.Sealer, away} }, "request refused"},
		"clock":         {func(c *Config) { c.Clock = func() time.Time { return time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) } }, "request refused"},
		"store, writes": {func(c *Config) { c.Store = &swapFails{c.Store, away} }, "request not finished"},
		"server keys":   {func(c *Config) { c.Keys = nil }, "request not finished"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			p := newReadyPhone(t, s)
			log := new(fullDisk)
			digest := protocoltest.DigestOf("x")
			challenge, err := s.ChallengeSign(t.Context(), p.id, digest, crypto.SHA256)
			require.NoError(t, err)
			s.Server = s.node(t, func(config *Config) {
				config.Log = slog.New(slog.NewTextHandler(log, nil)) // from info on
				c.change(config)
			})
			_, err = s.Handle(t.Context(), []byte("no request"))
			require.ErrorIs(t, err, ErrRefused)
			require.Contains(t, log.String(), `level=INFO msg="request refused"`)
			require.NotContains(t, log.String(), "level=ERROR")
			log.Reset()
			_, err = p.Sign(t.Context(), challenge, digest, crypto.SHA256, protocoltest.WrongPIN)
			require.ErrorIs(t, err, device.ErrUnanswered)
			require.Contains(t, log.String(), "level=ERROR msg=\""+c.want+"\"")
			require.Contains(t, log.String(), "cause=")
			if name == "store" {
				require.Contains(t, log.String(), away.Error())
			}
		})
	}
}

type brokenStore struct {
	limiter.Store
	err error
}

func (b brokenStore) Load(context.Context, string) ([]byte, uint64, error) { return nil, 0, b.err }

type brokenSealer struct {
	Sealer
	err error
}

func (b brokenSealer) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, b.err }

type swapFails struct {
	limiter.Store
	err error
}

func (s *swapFails) Swap(context.Context, string, uint64, []byte) error { return s.err }

// TestLogIsBounded: whoever can make a node log a failure fills no disk with it, and
// hides nothing: the next line says how many were left out.
func TestLogIsBounded(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	log := new(fullDisk)
	s.Server = s.node(t, func(c *Config) {
		c.Store, c.Log = brokenStore{c.Store, io.ErrUnexpectedEOF}, slog.New(slog.NewTextHandler(log, nil))
	})
	request := forge(t, s, p.id, p.id, protocol.OpSign, wire.DrawSecret())
	send := func() {
		_, err := s.Handle(t.Context(), request)
		require.ErrorIs(t, err, ErrRefused)
	}
	for range 3 * linesAtOnce {
		send()
	}
	require.Equal(t, linesAtOnce, strings.Count(log.String(), "\n"))
	require.NotContains(t, log.String(), "left_out")
	s.clock.Add(linesPeriod)
	send()
	require.Equal(t, linesAtOnce+1, strings.Count(log.String(), "\n"))
	require.Contains(t, log.String(), "left_out=20\n")
	s.clock.Add(-linesPeriod - time.Second) // a clock that goes back does not silence the log
	for range linesAtOnce {
		send()
	}
	require.Equal(t, 2*linesAtOnce+1, strings.Count(log.String(), "\n"))
	require.Equal(t, 1, strings.Count(log.String(), "left_out"))
}

// TestLevels: what happens to a server that is well is no error; and neither message
// hides the other.
func TestLevels(t *testing.T) {
	s := newService(t)
	id, challenge, err := s.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	_, server := protocoltest.Shares()
	request, r, err := protocoltest.SealRequest(s.config.HPKE.Current.PublicKey(), protocol.OpEnroll, protocoltest.EnrollmentOf(t, challenge, server.Bytes()))
	require.NoError(t, err)
	require.NoError(t, s.store.Create(t.Context(), spentID(id), spent{request: r.Request}.encode()))
	require.Equal(t, wire.CodeLater, deliver(t, s.Server, request, r).Code)
	require.Contains(t, s.logged(), "level=INFO msg=\"request not finished\"")

	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range linesAtOnce + 1 {
		_, err = s.Handle(gone, forge(t, s, protocol.KeyID{3}, protocol.KeyID{3}, protocol.OpSign, wire.DrawSecret()))
		require.ErrorIs(t, err, ErrRefused)
	}
	require.Contains(t, s.logged(), "level=INFO msg=\"request refused\"")
	require.NotContains(t, s.logged(), "level=ERROR")
	for range linesAtOnce - 1 {
		require.Equal(t, wire.CodeLater, deliver(t, s.Server, request, r).Code)
	}
	require.Equal(t, linesAtOnce, strings.Count(s.logged(), "request not finished"))
}

// TestDeliveredIsBounded: a node remembers what it has delivered for 16,384 keys, and
// then begins anew.
func TestDeliveredIsBounded(t *testing.T) {
	id := func(i int) protocol.KeyID { return protocol.KeyID{byte(i), byte(i >> 8)} }
	d, said := new(delivered), delivery{number: 1}
	for i := range 16_384 {
		d.add(id(i), said)
	}
	for i := range 16_384 {
		require.True(t, d.has(id(i), said), i)
	}
	d.add(id(16_384), said)
	require.True(t, d.has(id(16_384), said))
	require.Len(t, d.said, 1)
	for i := range 2 * maxEvents {
		d.add(id(0), delivery{number: uint64(i)})
	}
	require.Len(t, d.said[id(0)], maxEvents+1, "of one key no more than a record holds")
}

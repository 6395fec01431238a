package server

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
)

// admission is a Config.Admit that a test opens and closes.
type admission struct {
	closed error
	asked  []protocol.Operation
	ids    map[protocol.KeyID]bool
}

func (a *admission) admit(_ context.Context, id protocol.KeyID, op protocol.Operation) error {
	a.asked = append(a.asked, op)
	if a.ids == nil {
		a.ids = make(map[protocol.KeyID]bool)
	}
	a.ids[id] = true
	return a.closed
}

// take returns what was asked since the last time.
func (a *admission) take() []protocol.Operation {
	asked := a.asked
	a.asked = nil
	return asked
}

// TestAdmit: a request that the service puts off is not looked at, not counted and not
// settled, whatever its PIN; the device sends it again, and has its answer.
func TestAdmit(t *testing.T) {
	gate := new(admission)
	sealer := new(countingSealer)
	var full error
	s := newService(t, func(c *Config) {
		c.Admit = gate.admit
		c.Signed = func(context.Context, Signed) error { return full }
		sealer.Sealer, c.Sealer = c.Sealer, sealer
	})
	p := newReadyPhone(t, s)
	require.Equal(t, []protocol.Operation{protocol.OpConfirm}, gate.take())
	for name, pin := range map[string][]byte{"right": protocoltest.RightPIN, "wrong": protocoltest.WrongPIN} {
		gate.closed = errors.New("too many for now")
		before := loadRecord(t, s, p.id)
		sealer.opened = 0
		_, err := p.sign(t, "x "+name, pin)
		require.ErrorIs(t, err, device.ErrUnanswered)
		require.Equal(t, before, loadRecord(t, s, p.id), name)
		require.Equal(t, 1, sealer.opened, "the share was opened")
		require.Contains(t, s.logged(), "request put off")
		require.Contains(t, s.logged(), "too many for now")
		require.NotContains(t, s.logged(), "request not finished")
		gate.closed = nil
		_, err = p.Resume(t.Context())
		if name == "right" {
			require.NoError(t, err)
		} else {
			var wrong *limiter.WrongPINError
			require.ErrorAs(t, err, &wrong)
		}
		require.Equal(t, []protocol.Operation{protocol.OpSign, protocol.OpSign}, gate.take())
	}
	require.Equal(t, map[protocol.KeyID]bool{p.id: true}, gate.ids)

	// However many are put off, a failure is in the log.
	gate.closed = errors.New("closed")
	_, err := p.sign(t, "z", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	for range 2 * linesAtOnce {
		_, err = p.Resume(t.Context())
		require.ErrorIs(t, err, device.ErrUnanswered)
	}
	gate.closed = nil
	full = errors.New("full")
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, device.ErrUnanswered)
	require.Contains(t, s.logged(), "request not finished")
}

// TestAdmitIsAskedOfPINs: the service is asked of what tries a PIN, once for each
// request, and not of a Refresh, a repetition, a key that is locked, or a stranger.
func TestAdmitIsAskedOfPINs(t *testing.T) {
	gate := new(admission)
	races := 0
	s := newService(t, func(c *Config) { c.Admit = gate.admit; c.Store = &lostRaces{c.Store, &races} })
	p := newReadyPhone(t, s)
	gate.take()
	require.NoError(t, p.Refresh(t.Context(), p.challenge(t)))
	require.Empty(t, gate.take())
	races = 3 // other writes come first, and the record is weighed again
	_, err := p.sign(t, "x", protocoltest.RightPIN)
	require.NoError(t, err)
	require.Zero(t, races)
	require.Len(t, gate.take(), 1)

	// An answer is lost, and the same request comes again.
	transport := p.transport
	p.transport = func(ctx context.Context, r []byte) ([]byte, error) {
		_, err := transport(ctx, r)
		return nil, errors.Join(err, errors.New("lost"))
	}
	_, err = p.sign(t, "y", protocoltest.RightPIN)
	require.ErrorIs(t, err, device.ErrUnanswered)
	p.transport = transport
	require.Len(t, gate.take(), 1)
	gate.closed = errors.New("closed")
	_, err = p.Resume(t.Context())
	require.NoError(t, err)
	require.Empty(t, gate.take())
	gate.closed = nil

	for range 3 {
		_, err = p.sign(t, "z", protocoltest.WrongPIN)
		require.Error(t, err)
	}
	require.Len(t, gate.take(), 3)
	_, err = p.sign(t, "z", protocoltest.RightPIN)
	var locked *limiter.LockedError
	require.ErrorAs(t, err, &locked)
	require.Empty(t, gate.take())
	_, err = s.Handle(t.Context(), []byte("a stranger"))
	require.ErrorIs(t, err, ErrRefused)
	require.Empty(t, gate.take())
}

// lostRaces lets other writes come first, for so many Swaps.
type lostRaces struct {
	limiter.Store
	left *int
}

func (l *lostRaces) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	if *l.left > 0 {
		*l.left--
		return limiter.ErrConflict
	}
	return l.Store.Swap(ctx, id, version, value)
}

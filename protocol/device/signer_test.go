package device

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/splitkey"
)

// person is whom a signer's app asks, and the service behind it.
type person struct {
	phone *phone
	pin   []byte

	// typing, if not nil, is called while the person types, under the signature's
	// context.
	typing func(ctx context.Context, r *Request) error
	// refuse, if not nil, is the service's answer to whoever wants a challenge.
	refuse error

	mu         sync.Mutex
	open       int // prompts
	asked      []any
	typed      [][]byte
	challenges int
}

// who is the key under which a context has the name of a signature.
type who struct{}

func called(ctx context.Context, name any) context.Context {
	return context.WithValue(ctx, who{}, name)
}

func (p *person) challenge(ctx context.Context, r *Request) ([]byte, error) {
	p.mu.Lock()
	p.challenges++
	p.mu.Unlock()
	if p.refuse != nil {
		return nil, p.refuse
	}
	return p.phone.service.ChallengeSignAll(ctx, p.phone.id, r.Digests, r.Options)
}

func (p *person) enter(ctx context.Context, r *Request) ([]byte, error) {
	p.mu.Lock()
	p.open++
	alone := p.open == 1
	p.asked = append(p.asked, ctx.Value(who{}))
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open--
	}()
	if !alone {
		return nil, errors.New("two prompts at the same time")
	}
	if p.typing != nil {
		if err := p.typing(ctx, r); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	pin := bytes.Clone(p.pin)
	p.typed = append(p.typed, pin)
	return pin, nil
}

func (p *person) config() SignerConfig {
	return SignerConfig{Challenge: p.challenge, PIN: p.enter}
}

// newSigner returns a signer of a phone that is ready, and its person.
func newSigner(t *testing.T, p *phone) (*Signer, *person) {
	user := &person{phone: p, pin: protocoltest.RightPIN}
	s, err := p.NewSigner(t.Context(), user.config())
	require.NoError(t, err)
	return s, user
}

func (p *phone) waiting() int {
	p.turns.mu.Lock()
	defer p.turns.mu.Unlock()
	return len(p.turns.waiting)
}

// until waits for an event, of which only the state tells. Only what hangs takes so long.
func until(t *testing.T, event func() bool) {
	t.Helper()
	require.Eventually(t, event, time.Minute, 100*time.Microsecond)
}

// heard returns what a channel gets.
func heard(t *testing.T, c chan error) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(time.Minute):
		require.Fail(t, "it does not end")
		return nil
	}
}

// busy waits until so many signatures are asked for: one prompt is open, and the others
// wait for their turn.
func (p *person) busy(t *testing.T, signatures int) {
	t.Helper()
	until(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.open == 1 && p.phone.waiting() == signatures-1
	})
}

func (p *person) names() []any {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

func requireSigned(t *testing.T, s *Signer, text string, signature []byte) {
	t.Helper()
	require.NoError(t, rsa.VerifyPKCS1v15(s.Public().(*rsa.PublicKey), crypto.SHA256, protocoltest.DigestOf(text), signature))
}

// TestSigner: digests, messages and lists, with each meaning of a salt's length; one PIN
// for each call, which is cleared afterwards.
func TestSigner(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	public := s.Public().(*rsa.PublicKey)
	status, err := user.phone.Status()
	require.NoError(t, err)
	require.True(t, public.Equal(status.PublicKey))
	message := []byte("the contract")
	digest := protocoltest.DigestOf(string(message))
	user.typing = func(_ context.Context, r *Request) error {
		require.Equal(t, protocol.OpSign, r.Operation)
		require.Equal(t, digest, r.Digests[0])
		require.NotEmpty(t, r.Challenge)
		require.NotZero(t, r.Expires)
		r.Digests[0][0]++ // what the app does with its copy changes nothing
		return nil
	}
	for _, opts := range []crypto.SignerOpts{
		crypto.SHA256, &rsa.PSSOptions{Hash: crypto.SHA256}, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash},
		&rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 20},
	} {
		verify := func(signature []byte, err error) {
			require.NoError(t, err)
			require.NoError(t, s.Err())
			pss, ok := opts.(*rsa.PSSOptions)
			if !ok {
				require.NoError(t, rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, signature))
				return
			}
			require.NoError(t, rsa.VerifyPSS(public, crypto.SHA256, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}))
			want := rsa.PSSOptions{SaltLength: pss.SaltLength}
			if want.SaltLength <= 0 {
				want.SaltLength = rsa.PSSSaltLengthEqualsHash
			}
			require.NoError(t, rsa.VerifyPSS(public, crypto.SHA256, digest, signature, &want))
		}
		verify(s.Sign(nil, digest, opts))
		verify(s.SignMessage(nil, message, opts))
		verify(crypto.SignMessage(s, nil, message, opts))
		all, err := s.SignAll([][]byte{digest, protocoltest.DigestOf("annex"), digest}, opts)
		require.Len(t, all, 3)
		verify(all[0], err)
		verify(all[2], err)
	}
	require.Len(t, user.typed, 16)
	for _, pin := range user.typed {
		require.Equal(t, make([]byte, len(pin)), pin, "the PIN is left")
	}
}

// TestSignerRefusesFirst: what cannot be signed costs no challenge and no PIN.
func TestSignerRefusesFirst(t *testing.T) {
	service := newService(t)
	p := newPhone(t, service, nil)
	user := &person{phone: p, pin: protocoltest.RightPIN}
	_, err := p.NewSigner(t.Context(), user.config())
	require.ErrorIs(t, err, ErrPhase)
	p.enroll(t)
	s, err := p.NewSigner(t.Context(), user.config())
	require.NoError(t, err)
	digest := protocoltest.DigestOf("x")
	refused := func(want error) func([]byte, error) {
		return func(signature []byte, err error) {
			t.Helper()
			require.ErrorIs(t, err, want)
			require.Equal(t, err, s.Err())
			require.Nil(t, signature)
		}
	}
	refused(ErrPhase)(s.Sign(nil, digest, crypto.SHA256)) // not confirmed
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	for _, opts := range []crypto.SignerOpts{
		nil, (*rsa.PSSOptions)(nil), crypto.Hash(0), crypto.SHA1, crypto.SHA224, crypto.MD5SHA1, &rsa.PSSOptions{Hash: crypto.SHA1},
		&rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: -2}, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 479},
	} {
		refused(splitkey.ErrMessage)(s.Sign(nil, digest, opts))
		refused(splitkey.ErrMessage)(s.SignMessage(nil, digest, opts))
	}
	refused(splitkey.ErrMessage)(s.Sign(nil, digest[1:], crypto.SHA256))
	_, err = s.SignAll(nil, crypto.SHA256)
	require.ErrorIs(t, err, splitkey.ErrMessage)
	_, err = s.SignAll(slices.Repeat([][]byte{digest}, protocol.MaxDocuments+1), crypto.SHA256)
	require.ErrorIs(t, err, splitkey.ErrMessage)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s = s.WithContext(ended)
	refused(context.Canceled)(s.Sign(nil, digest, crypto.SHA256))
	require.NoError(t, service.Revoke(t.Context(), p.id, "stolen"))
	_, err = p.sign(t, "x", protocoltest.RightPIN)
	require.Error(t, err)
	s = s.WithContext(t.Context())
	_, err = s.Sign(nil, digest, crypto.SHA256)
	var dead *protocol.DestroyedError
	require.ErrorAs(t, err, &dead)
	require.Equal(t, protocol.ReasonRevoked, dead.Reason)
	require.Zero(t, user.challenges)
	require.Empty(t, user.asked)
	for _, c := range []SignerConfig{{}, {Challenge: user.challenge}, {PIN: user.enter}, {Challenge: user.challenge, PIN: user.enter, Queue: -1}} {
		_, err := p.NewSigner(t.Context(), c)
		require.ErrorIs(t, err, protocol.ErrConfig)
	}
}

// TestSignerPassesErrorsOn: what the app's functions say comes as it is, and without a
// challenge nobody is asked for a PIN.
func TestSignerPassesErrorsOn(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	before := user.phone.state.Copy().Data
	user.refuse = errors.New("not this contract")
	_, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.ErrorIs(t, err, user.refuse)
	require.Empty(t, user.asked)
	user.refuse = nil
	refused := errors.New("the user says no")
	user.typing = func(context.Context, *Request) error { return refused }
	_, err = s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.ErrorIs(t, err, refused)
	require.Len(t, user.asked, 1)
	user.typing, user.pin = nil, []byte("no PIN")
	_, err = s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.ErrorIs(t, err, pinlock.ErrPINFormat)
	require.Equal(t, before, user.phone.state.Data)
	user.pin = protocoltest.RightPIN
	signature, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	require.NoError(t, s.Err())
	requireSigned(t, s, "x", signature)
}

// TestSignerQueue: signatures are made one at a time, in the order in which they were
// asked for, by all signers of the device; one more than may wait is refused.
func TestSignerQueue(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	other, err := user.phone.NewSigner(t.Context(), SignerConfig{Challenge: user.challenge, PIN: user.enter, Queue: 9})
	require.NoError(t, err)
	enter := make(chan struct{})
	user.typing = func(context.Context, *Request) error { <-enter; return nil }
	var want []any
	results := make(chan error, 10)
	for i := range 10 {
		view := []*Signer{s, other}[i%2].WithContext(called(t.Context(), i))
		go func() {
			signature, err := view.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
			results <- errors.Join(err, rsa.VerifyPKCS1v15(s.Public().(*rsa.PublicKey), crypto.SHA256, protocoltest.DigestOf("x"), signature))
		}()
		user.busy(t, i+1)
		want = append(want, i)
	}
	full := make(chan error, 1)
	go func() {
		_, err := other.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
		full <- err
	}()
	require.ErrorIs(t, heard(t, full), ErrBusy)
	require.ErrorIs(t, other.Err(), ErrBusy)
	close(enter)
	for range 10 {
		require.NoError(t, heard(t, results))
	}
	require.Equal(t, want, user.names())
	require.Zero(t, user.phone.waiting())
}

// TestSignerCancelled: a signature whose context is done returns at once, wherever it is,
// and its place is free: the next in the queue moves up.
func TestSignerCancelled(t *testing.T) {
	p := newReadyPhone(t, newService(t))
	user := &person{phone: p, pin: protocoltest.RightPIN}
	s, err := p.NewSigner(t.Context(), SignerConfig{Challenge: user.challenge, PIN: user.enter, Queue: 1})
	require.NoError(t, err)
	enter := make(chan struct{})
	user.typing = func(ctx context.Context, _ *Request) error {
		select {
		case <-enter:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	type call struct {
		cancel context.CancelFunc
		err    chan error
	}
	sign := func(name string) call {
		ctx, cancel := context.WithCancel(called(t.Context(), name))
		c := call{cancel, make(chan error, 1)}
		go func() {
			_, err := s.WithContext(ctx).Sign(nil, protocoltest.DigestOf(name), crypto.SHA256)
			c.err <- err
		}()
		return c
	}
	first := sign("first")
	user.busy(t, 1)
	second := sign("second")
	user.busy(t, 2)
	require.ErrorIs(t, heard(t, sign("too many").err), ErrBusy)
	second.cancel()
	require.ErrorIs(t, heard(t, second.err), context.Canceled)
	require.Zero(t, p.waiting())
	third := sign("third")
	user.busy(t, 2)
	first.cancel()
	require.ErrorIs(t, heard(t, first.err), context.Canceled)
	until(t, func() bool { return slices.Equal(user.names(), []any{"first", "third"}) })
	enter <- struct{}{}
	require.NoError(t, heard(t, third.err))
	third.cancel()
	until(t, func() bool {
		p.turns.mu.Lock()
		defer p.turns.mu.Unlock()
		return !p.turns.taken
	})

	// A turn that is cancelled just when it has come goes on to the next.
	end, err := p.turns.take(t.Context(), 9)
	require.NoError(t, err)
	turn, err := p.turns.join(9)
	require.NoError(t, err)
	end()
	p.turns.leave(turn)
	require.False(t, p.turns.taken)
}

// TestSignerPromptThatStays: a prompt that does not heed the context keeps nobody's
// signature waiting but those that would open a second prompt.
func TestSignerPromptThatStays(t *testing.T) {
	s, user := newSigner(t, newReadyPhone(t, newService(t)))
	enter := make(chan struct{})
	user.typing = func(context.Context, *Request) error { <-enter; return nil }
	ctx, cancel := context.WithCancel(called(t.Context(), "first"))
	first := make(chan error, 1)
	go func() {
		_, err := s.WithContext(ctx).Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
		first <- err
	}()
	user.busy(t, 1)
	before := user.phone.state.Copy().Data
	cancel()
	require.ErrorIs(t, heard(t, first), context.Canceled)
	second := make(chan error, 1)
	go func() {
		_, err := s.WithContext(called(t.Context(), "second")).Sign(nil, protocoltest.DigestOf("y"), crypto.SHA256)
		second <- err
	}()
	user.busy(t, 2)
	require.Equal(t, []any{"first"}, user.names())
	enter <- struct{}{} // the PIN comes too late: nothing is sent
	until(t, func() bool { return slices.Equal(user.names(), []any{"first", "second"}) })
	require.Equal(t, before, user.phone.state.Copy().Data)
	enter <- struct{}{}
	require.NoError(t, heard(t, second))
	require.Equal(t, make([]byte, len(user.typed[0])), user.typed[0])
}

// hasty returns the signer with short pauses.
func hasty(s *Signer) *Signer {
	s = s.WithContext(s.ctx)
	s.timing.firstPause = time.Millisecond
	return s
}

// TestSignerResumes: an answer that is lost is asked for again, a few times, and later by
// whoever signs the same digests. Nobody types a PIN twice for it, and nothing is counted
// twice.
func TestSignerResumes(t *testing.T) {
	service := newService(t)
	lose := 0 // responses that are lost from now on
	p := newPhone(t, service, func(ctx context.Context, request []byte) ([]byte, error) {
		response, err := service.Handle(ctx, request)
		if lose > 0 {
			lose--
			return nil, protocoltest.ErrLost
		}
		return response, err
	})
	p.enroll(t)
	require.NoError(t, p.Confirm(t.Context(), nil, protocoltest.RightPIN))
	s, user := newSigner(t, p)
	require.Equal(t, usualTiming, s.timing)
	s = hasty(s)
	all := 1 + s.timing.resumes

	lose = all - 1
	signature, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	requireSigned(t, s, "x", signature)
	require.Len(t, user.asked, 1)

	lose = all + 1
	_, err = s.Sign(nil, protocoltest.DigestOf("y"), crypto.SHA256)
	require.ErrorIs(t, err, ErrUnanswered)
	require.ErrorIs(t, err, protocoltest.ErrLost)
	require.Len(t, user.asked, 2)
	require.Equal(t, 1, lose)
	signature, err = s.Sign(nil, protocoltest.DigestOf("y"), crypto.SHA256)
	require.NoError(t, err)
	requireSigned(t, s, "y", signature)
	require.Len(t, user.asked, 2, "a PIN for what was signed already")

	// A wrong PIN, whose verdict is lost: the next call with these digests hears it.
	user.pin = protocoltest.WrongPIN
	lose = all
	_, err = s.Sign(nil, protocoltest.DigestOf("z"), crypto.SHA256)
	require.ErrorIs(t, err, ErrUnanswered)
	_, err = s.Sign(nil, protocoltest.DigestOf("z"), crypto.SHA256)
	var wrong *limiter.WrongPINError
	require.ErrorAs(t, err, &wrong)
	require.Equal(t, 2, wrong.Remaining)
	require.Len(t, user.asked, 3)

	// With other digests it is settled first, and the new PIN is the second try.
	lose = all
	_, err = s.Sign(nil, protocoltest.DigestOf("z"), crypto.SHA256)
	require.ErrorIs(t, err, ErrUnanswered)
	user.pin = protocoltest.RightPIN
	signature, err = s.Sign(nil, protocoltest.DigestOf("other"), crypto.SHA256)
	require.NoError(t, err)
	requireSigned(t, s, "other", signature)
	require.Len(t, user.asked, 5)
	status, err := service.Status(t.Context(), p.id)
	require.NoError(t, err)
	require.Equal(t, 3, status.Attempts.Remaining, "the right PIN cleared the count")
}

// TestSignerGivesUpForgotten: a request that no server will answer any more is cancelled
// for the next signature; one of the same digests only when its challenge is over.
func TestSignerGivesUpForgotten(t *testing.T) {
	for _, over := range []bool{false, true} {
		service := newService(t)
		if !over {
			service.clock.Set(time.Now())
		}
		p, l := newLossyPhone(t, service)
		s, user := newSigner(t, p)
		s = hasty(s)
		forget := func(text string) {
			l.loseRequest = true
			_, err := s.Sign(nil, protocoltest.DigestOf(text), crypto.SHA256)
			require.ErrorIs(t, err, ErrUnanswered)
			l.loseRequest = false
			service.Server = service.node(t, func(c *server.Config) { c.ChallengeKey = bytes.Repeat([]byte{byte(len(user.asked))}, 32) })
		}
		forget("a")
		signature, err := s.Sign(nil, protocoltest.DigestOf("b"), crypto.SHA256)
		require.NoError(t, err)
		requireSigned(t, s, "b", signature)

		forget("c")
		asked := len(user.asked)
		signature, err = s.Sign(nil, protocoltest.DigestOf("c"), crypto.SHA256)
		if !over {
			require.ErrorIs(t, err, ErrUnanswered)
			require.Len(t, user.asked, asked)
			continue
		}
		require.NoError(t, err)
		requireSigned(t, s, "c", signature)
		require.Len(t, user.asked, asked+1)
	}
}

// TestSignerLeavesPINChangeAlone: what became of a ChangePIN is for the app to hear.
func TestSignerLeavesPINChangeAlone(t *testing.T) {
	p, l := newLossyPhone(t, newService(t))
	s, user := newSigner(t, p)
	l.loseResponse = true
	require.ErrorIs(t, p.ChangePIN(t.Context(), p.challenge(t), protocoltest.RightPIN, protocoltest.NewPIN), ErrUnanswered)
	l.loseResponse = false
	_, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.ErrorIs(t, err, ErrPending)
	require.Empty(t, user.asked)
	_, err = p.Resume(t.Context())
	require.ErrorIs(t, err, ErrPINUnchanged)
	_, err = s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)

	// A Refresh has nothing to tell.
	l.loseResponse = true
	require.ErrorIs(t, p.Refresh(t.Context(), p.challenge(t)), ErrUnanswered)
	l.loseResponse = false
	_, err = s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
}

// TestSignerSlowUser: a challenge that expires while the user types costs no second PIN.
func TestSignerSlowUser(t *testing.T) {
	service := newService(t)
	s, user := newSigner(t, newReadyPhone(t, service))
	user.typing = func(context.Context, *Request) error { service.clock.Add(time.Hour); return nil }
	signature, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	requireSigned(t, s, "x", signature)
	require.Len(t, user.asked, 1)
	require.Equal(t, 2, user.challenges)
}

// inUse is a storage that somebody else uses for the next few times.
type inUse struct {
	*protocoltest.MemoryStorage
	times int
}

func (u *inUse) Lock() (func(), error) {
	if u.times > 0 {
		u.times--
		return nil, ErrBusy
	}
	return u.MemoryStorage.Lock()
}

// TestSignerWaitsForTheStorage: another process or a Refresh in the background does not
// make a signature fail, unless it takes very long.
func TestSignerWaitsForTheStorage(t *testing.T) {
	service := newService(t)
	p := newReadyPhone(t, service)
	storage := &inUse{MemoryStorage: p.state}
	d, err := New(Config{Storage: storage, Transport: service.Handle, HPKEKey: service.HPKEKey(), Params: protocoltest.Cheapest})
	require.NoError(t, err)
	p.Device = d
	s, user := newSigner(t, p)
	storage.times = 3
	user.typing = func(context.Context, *Request) error { storage.times = 3; return nil }
	signature, err := s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.NoError(t, err)
	requireSigned(t, s, "x", signature)
	require.Len(t, user.asked, 1)
	require.Zero(t, storage.times)

	storage.times = 1 << 30
	s = s.WithContext(t.Context())
	s.timing.patience = time.Millisecond
	_, err = s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.ErrorIs(t, err, ErrBusy)
	require.Len(t, user.asked, 1)
}

// TestSignerKnowsItsKey: a signer makes no signatures with another key than its own.
func TestSignerKnowsItsKey(t *testing.T) {
	service := newService(t)
	s, user := newSigner(t, newReadyPhone(t, service))
	other := newPhone(t, service, nil)
	_, challenge, err := service.ChallengeEnroll(t.Context())
	require.NoError(t, err)
	require.NoError(t, other.Enroll(t.Context(), EnrollOptions{Challenge: challenge, PIN: protocoltest.RightPIN}))
	require.NoError(t, other.Confirm(t.Context(), nil, protocoltest.RightPIN))
	user.phone.state.Data = other.state.Data
	_, err = s.Sign(nil, protocoltest.DigestOf("x"), crypto.SHA256)
	require.ErrorIs(t, err, ErrPhase)
	require.Empty(t, user.asked)
}

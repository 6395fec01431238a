package device

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// timing is how long a signer waits for what passes.
type timing struct {
	firstPause time.Duration // before a request that was not answered is sent again; then twice that, and so on
	resumes    int           // how often it is sent again
	patience   time.Duration // with a storage that is in use
}

var usualTiming = timing{firstPause: 100 * time.Millisecond, resumes: 6, patience: 30 * time.Second}

// turn makes the signatures of one call of a signer's.
type turn struct {
	*Signer
	messages wire.Messages
	stuck    bool // an earlier request is not answered, and nobody waits for it
}

// sign is what docs/protocol.md, section 7, has an app do: settle what is pending, get a
// challenge, ask for the PIN, sign, and ask again for an answer that was lost.
func (t *turn) sign() ([][]byte, error) {
	made, err := t.settle()
	if made != nil || err != nil {
		return made, err
	}
	var pin []byte
	defer func() { clear(pin) }()
	for again := true; ; again = false {
		challenge, err := t.config.Challenge(t.ctx, t.request(nil))
		if err != nil {
			return nil, err
		}
		if t.stuck {
			if err := t.cancel(challenge); err != nil {
				return nil, err
			}
		}
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
		if pin == nil {
			if pin, err = t.config.PIN(t.ctx, t.request(challenge)); err != nil {
				return nil, err
			}
		}
		// A challenge that expired while the user was asked costs no second PIN.
		signatures, err := t.ask(challenge, pin)
		if !again || !errors.Is(err, errExpired) {
			return signatures, err
		}
	}
}

// request is what the app's functions are shown.
func (t *turn) request(challenge []byte) *Request {
	r := &Request{Operation: protocol.OpSign, Options: t.messages.Options()}
	for _, d := range t.messages.Digests {
		r.Digests = append(r.Digests, bytes.Clone(d))
	}
	if c, err := wire.ParseChallenge(challenge); err == nil {
		r.Challenge, r.Expires = c.Raw[:], time.UnixMilli(c.Expires).UTC()
	}
	return r
}

// settle resolves what an earlier call has left pending, and returns the signatures if
// they are of the same digests. It refuses a key that cannot sign.
func (t *turn) settle() ([][]byte, error) {
	status, err := t.status()
	if err != nil {
		return nil, err
	}
	p := status.Pending
	switch {
	case p == nil:
		return nil, nil
	case p.Operation != protocol.OpSign && p.Operation != protocol.OpRefresh:
		// What became of the others is for the app to hear, in Resume.
		return nil, fmt.Errorf("%w: %v", ErrPending, p.Operation)
	}
	if t.asksFor(p) {
		r, err := t.resume(0, t.timing.resumes)
		switch {
		case err == nil && t.asksFor(r):
			return r.Signatures, nil
		case !errors.Is(err, ErrNotCarriedOut) && !errors.Is(err, ErrUnanswered),
			errors.Is(err, ErrUnanswered) && time.Now().Before(p.Expires):
			return nil, err
		}
	} else if _, err := t.resume(0, 1); errors.Is(err, ErrUnanswered) {
		t.stuck = true
		return nil, nil
	}
	// Whatever was heard, it may have been the end of the key.
	status, err = t.status()
	t.stuck = status.Pending != nil
	return nil, err
}

// status returns that of a key that can sign, or could if nothing were pending.
func (t *turn) status() (status KeyStatus, err error) {
	err = t.whenFree(func() (err error) {
		status, err = t.device.Status()
		return err
	})
	switch {
	case err != nil:
	case status.Phase == Dead || status.Phase == Superseded:
		if _, err = t.resume(0, 1); err == nil {
			err = ErrPhase
		}
	case status.PublicKey == nil || !status.PublicKey.Equal(t.final.PublicKey()):
		err = fmt.Errorf("%w: the device has not the key that this signer was made for", ErrPhase)
	case status.Pending == nil && status.Phase != Ready:
		err = fmt.Errorf("%w: the key is not confirmed", ErrPhase)
	}
	return status, err
}

// asksFor reports whether a request, which is pending or was resumed, makes the
// signatures of this turn.
func (t *turn) asksFor(r *Request) bool {
	if r == nil || r.Operation != protocol.OpSign || r.Cancelled {
		return false
	}
	sent, err := wire.NewMessages(r.Digests, r.Options)
	return err == nil && t.messages.AskFor(sent)
}

// cancel ends the earlier request, for which nobody waits.
func (t *turn) cancel(challenge []byte) error {
	err := t.whenFree(func() error { return t.device.Cancel(t.ctx, challenge) })
	status, statusErr := t.status()
	switch {
	case statusErr != nil:
		return statusErr
	case status.Pending != nil:
		return fmt.Errorf("%w: %w", ErrPending, err)
	}
	return nil // it was cancelled, or carried out before, or its PIN had been wrong
}

// ask makes the request, and asks again for an answer that was lost.
func (t *turn) ask(challenge, pin []byte) ([][]byte, error) {
	var signatures [][]byte
	err := t.whenFree(func() (err error) {
		signatures, err = t.device.SignAll(t.ctx, challenge, t.messages.Digests, t.messages.Options(), pin)
		return err
	})
	if !errors.Is(err, ErrUnanswered) {
		return signatures, err
	}
	r, err := t.resume(t.timing.firstPause, t.timing.resumes)
	switch {
	case err != nil:
		return nil, err
	case !t.asksFor(r): // another process has used the storage in between
		return nil, ErrPending
	}
	return r.Signatures, nil
}

// resume asks what became of the request that is pending, several times after longer and
// longer pauses, until there is an answer.
func (t *turn) resume(pause time.Duration, times int) (r *Request, err error) {
	for range times {
		if err := t.sleep(pause); err != nil {
			return nil, err
		}
		err = t.whenFree(func() (err error) {
			r, err = t.device.Resume(t.ctx)
			return err
		})
		if !errors.Is(err, ErrUnanswered) {
			break
		}
		pause = max(2*pause, t.timing.firstPause)
	}
	return r, err
}

// whenFree tries until nobody else uses the storage.
func (t *turn) whenFree(f func() error) error {
	start := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := f()
		if !errors.Is(err, ErrBusy) || time.Since(start) > t.timing.patience {
			return err
		}
		if err := t.sleep(pause); err != nil {
			return err
		}
	}
}

func (t *turn) sleep(pause time.Duration) error {
	select {
	case <-time.After(pause):
		return t.ctx.Err()
	case <-t.ctx.Done():
		return t.ctx.Err()
	}
}

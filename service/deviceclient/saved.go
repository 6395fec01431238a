package deviceclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/rp"
)

// saved is a transaction that its person goes on with in another process.
type saved struct {
	Claimed  devicewire.Claimed `json:"claimed"`
	Picked   string             `json:"picked,omitempty"` // one of three codes
	Verifier string             `json:"verifier"`
	Done     bool               `json:"done,omitempty"`
}

// maxSaved is more than a transaction has.
const maxSaved = 64 << 10

// Save returns what [Phone.Restore] makes the same transaction of, for an app that ends
// before the person has answered. It holds the verifier, which is a secret of this phone
// and the browser it goes back to: it is stored as the token is.
func (t *Transaction) Save() ([]byte, error) {
	if t == nil || t.phone == nil {
		return nil, fmt.Errorf("%w: no transaction", ErrConfig)
	}
	s := saved{
		Claimed: devicewire.Claimed{
			Session: t.Session, Version: int(t.version), Kind: kindName(t.Kind), RelyingParty: t.RelyingParty, Several: t.Several,
			Interaction: string(t.Interaction.Type), Text: t.Interaction.Text, Flow: string(t.flow), Code: t.Code, Codes: t.Codes,
			Deadline: t.Deadline, Callback: t.callback, SecretDigest: t.secretDigest, ToSign: t.toSign,
		},
		Verifier: string(t.verifier.Get()), Done: t.done,
	}
	if len(t.Codes) > 0 {
		s.Claimed.Code, s.Picked = "", t.Code
	}
	return json.Marshal(s)
}

func kindName(k rp.Kind) string {
	for name, kind := range kinds {
		if kind == k {
			return name
		}
	}
	return ""
}

// Restore returns the transaction that Save was called on. It calls nobody. What is shown
// is checked against what is signed as it was at first. The error wraps ErrMismatch.
func (p *Phone) Restore(data []byte) (*Transaction, error) {
	if p == nil || p.devices[0] == nil {
		return nil, fmt.Errorf("%w: no phone", ErrConfig)
	}
	return p.restore(data)
}

func (p *Phone) restore(data []byte) (*Transaction, error) {
	var s saved
	if len(data) > maxSaved || json.Unmarshal(data, &s) != nil || s.Verifier == "" {
		return nil, fmt.Errorf("%w: not a saved transaction", ErrMismatch)
	}
	toSign := s.Claimed.ToSign
	if s.Picked != "" {
		s.Claimed.ToSign = nil
	}
	t, err := p.transaction(s.Claimed, rp.FlowType(s.Claimed.Flow), s.Verifier)
	if err != nil {
		return nil, err
	}
	if s.Picked != "" {
		t.Code = s.Picked
		if toSign == nil {
			return nil, fmt.Errorf("%w: a code without what is signed", ErrMismatch)
		}
		if err := t.accept(toSign); err != nil {
			return nil, err
		}
	}
	t.Deadline, t.done = s.Claimed.Deadline, s.Done
	return t, nil
}

// Awaits reports whether a certificate was chosen by a device link, so that the relying
// party may have this account sign next. [Transaction.Refuse] ends the wait.
func (t *Transaction) Awaits() bool {
	return t != nil && t.done && t.Kind == rp.CertificateChoice && t.flow != rp.FlowNotification
}

// device is that of the session's key.
func (t *Transaction) device() *device.Device {
	if t.Kind == rp.Authentication {
		return t.phone.devices[0]
	}
	return t.phone.devices[1]
}

// Resume sends the signature again that was not answered, without a PIN. It returns nil
// when the relying party has it, and else what [Transaction.Sign] does;
// [device.ErrNothingPending] if no signature of this transaction was sent.
func (t *Transaction) Resume(ctx context.Context) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	if t.done {
		return nil
	}
	s, err := t.device().Status()
	if err != nil {
		return err
	}
	if s.Pending == nil || s.Pending.Operation != protocol.OpSign || t.toSign == nil || !bytes.Equal(s.Pending.Challenge, t.toSign.Challenge) {
		return device.ErrNothingPending
	}
	_, err = t.device().Resume(context.WithValue(ctx, sessionKey{}, t))
	return t.signed(ctx, err)
}

// signed is what the person hears of a signature that was asked for.
func (t *Transaction) signed(ctx context.Context, err error) error {
	var answer *Error
	if errors.As(err, &answer) {
		// The service has not given the request to the server of the protocol: it is
		// taken back, so that it does not wait for ever.
		return errors.Join(answer, t.phone.cancel(ctx, t.device()))
	}
	if err == nil && !t.done {
		return ErrNotTaken
	}
	return err
}

// Cancel ends the request that one of the phone's two devices waits for: see
// [device.Device.Cancel]. It is nil if nothing waits any more.
func (p *Phone) Cancel(ctx context.Context, d *device.Device) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	return p.cancel(ctx, d)
}

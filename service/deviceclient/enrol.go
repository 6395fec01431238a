package deviceclient

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
)

// Opened is an account that has begun. The revocation code ends it, from any browser: the
// person keeps it apart from the phone.
type Opened = devicewire.Opened

// PINs are those of the two keys. They differ.
type PINs struct {
	Authentication, Signature []byte `json:"-"`
}

// Format hides the PINs.
func (PINs) Format(f fmt.State, _ rune) { fmt.Fprint(f, "deviceclient.PINs(hidden)") }

// Enrol makes an account: with a registrar's code, and a label for the phone. If it was
// cut off it may be called again with the same code and PINs, or Resume.
func (p *Phone) Enrol(ctx context.Context, code, label string, pins PINs) (Opened, error) {
	if err := p.ready(ctx); err != nil {
		return Opened{}, err
	}
	var e devicewire.EnrolmentBody
	if err := p.client.post(ctx, devicewire.EnrolBegin, map[string]string{"code": code, "device": label}, &e); err != nil {
		return Opened{}, err
	}
	return p.enrol(ctx, e, pins)
}

// Ask begins an enrolment in place of an old phone: what it returns is shown as a QR
// code, which the old phone scans and approves ([Phone.Approve]). Then Resume makes the
// account.
func (p *Phone) Ask(ctx context.Context, label string) (request string, err error) {
	if err := p.ready(ctx); err != nil {
		return "", err
	}
	var out devicewire.Asked
	err = p.client.post(ctx, devicewire.EnrolAsk, map[string]string{"device": label}, &out)
	return out.Request, err
}

// Resume goes on with an enrolment that has begun. Until the old phone has approved a new
// one, the error has CodeNotApproved.
func (p *Phone) Resume(ctx context.Context, pins PINs) (Opened, error) {
	if err := p.ready(ctx); err != nil {
		return Opened{}, err
	}
	var e devicewire.EnrolmentBody
	if err := p.client.post(ctx, devicewire.EnrolContinue, nothing{}, &e); err != nil {
		return Opened{}, err
	}
	return p.enrol(ctx, e, pins)
}

// enrol enrols and confirms what is missing.
func (p *Phone) enrol(ctx context.Context, e devicewire.EnrolmentBody, pins PINs) (Opened, error) {
	if string(pins.Authentication) == string(pins.Signature) {
		return Opened{}, fmt.Errorf("%w: the two PINs are the same", ErrConfig)
	}
	for i, pin := range [][]byte{pins.Authentication, pins.Signature} {
		if err := p.enrolKey(ctx, p.devices[i], e.Keys[i], pin); err != nil {
			return Opened{}, err
		}
	}
	var out Opened
	err := p.client.post(ctx, devicewire.EnrolFinish, nothing{}, &out)
	return out, err
}

func (p *Phone) enrolKey(ctx context.Context, d *device.Device, o devicewire.Offer, pin []byte) error {
	s, err := d.Status()
	if err == nil && s.Pending != nil {
		// What was sent before and not answered. Whatever became of it, the phase says.
		if _, err = d.Resume(ctx); errors.Is(err, device.ErrUnanswered) || errors.Is(err, device.ErrBusy) {
			return err
		}
		s, err = d.Status()
	}
	if err != nil {
		return err
	}
	own := s.KeyID.String() == o.ID
	switch {
	case o.Challenge != nil:
		if err := d.Enroll(ctx, device.EnrollOptions{Challenge: o.Challenge, PIN: pin}); err != nil {
			return err
		}
		return d.Confirm(ctx, nil, pin)
	case s.Phase == device.Unconfirmed && own:
		return d.Confirm(ctx, o.Confirm, pin)
	case s.Phase == device.Ready && own && o.Confirmed:
		return nil
	}
	return fmt.Errorf("%w: the phone has another key than the service", ErrConfig)
}

// NewPhone is a phone that wants to take this one's place.
type NewPhone struct {
	Device    string // its label, for the person to compare
	request   string
	challenge []byte
	digest    []byte
}

// Scanned looks at the QR code of a new phone, and shows whose it is. Nothing has
// happened yet: [Phone.Approve] signs.
func (p *Phone) Scanned(ctx context.Context, request string) (*NewPhone, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	account, err := p.Account(ctx)
	if err != nil {
		return nil, err
	}
	var out devicewire.NewPhoneBody
	if err := p.client.post(ctx, devicewire.NewPhone, map[string]string{"request": request}, &out); err != nil {
		return nil, err
	}
	// What is signed is what is shown.
	digest := newPhoneDigest(account.Document, request, out.Device)
	if string(digest) != string(out.Digest) {
		return nil, ErrMismatch
	}
	return &NewPhone{Device: out.Device, request: request, challenge: out.Challenge, digest: digest}, nil
}

// newPhoneDigest is accounts.NewPhoneDigest, which the phone computes by itself.
func newPhoneDigest(document, request, label string) []byte {
	sum := sha256.Sum256([]byte(strings.Join([]string{"tandem new phone 1", document, request, label, ""}, "\n")))
	return sum[:]
}

// Approve lets a new phone take this one's place, by a signature with the PIN for
// signatures. Errors: those of [device.Device.Sign], and an [*Error].
func (p *Phone) Approve(ctx context.Context, n *NewPhone, pin []byte) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	if n == nil || n.digest == nil {
		return fmt.Errorf("%w: no new phone", ErrConfig)
	}
	signature, err := p.devices[1].Sign(ctx, n.challenge, n.digest, crypto.SHA256, pin)
	if err != nil {
		return err
	}
	return p.client.post(ctx, devicewire.Approve, map[string]any{"request": n.request, "signature": signature}, &nothing{})
}

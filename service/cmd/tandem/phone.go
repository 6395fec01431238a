package main

import (
	"context"
	"errors"
	"flag"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/deviceclient"
	"github.com/tandem-rsa/tandem/service/rp"
)

var phoneCommand = &command{
	name: "phone", args: "enroll [CODE] | home | poll | claim | choose [CODE] | sign | refuse | history | change-pin | ask | approve REQUEST | delete",
	about: "is a phone on the command line, for a running service",
	help: `
The phone is a folder (-phone), with the halves of two keys: PIN1 is for logins, PIN2 for signatures.

  enroll CODE      makes an account, with the registrar's code; asks for new PINs. Without CODE it
                   goes on with what was begun, or after "ask"
  home             the account: name, expiry, locks
  poll             the transaction that waits, if there is one; -wait waits for one
  claim            opens it, and shows what the relying party wants
  choose CODE      picks one of three codes; without CODE, this account for a certificate
  sign             opens it, shows it, asks for the PIN and signs; -code picks one of three codes
  refuse           ends it; -screen says on which screen
  history          what was done with the account
  change-pin       of the key that -key names
  ask              begins an enrolment in place of an old phone, and prints what that must approve
  approve REQUEST  the old phone lets the new one take its place: asks for PIN2
  delete           ends the account, for ever

With -link claim, choose, sign and refuse open a device link, such as a QR code has.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		p := new(phoneRun)
		flags.StringVar(&p.folder, "phone", "", "the phone's `folder`; else TANDEM_PHONE")
		flags.StringVar(&p.service, "service", "", "`file` that says where the service is (phone.json in its folder), for enroll and ask")
		flags.StringVar(&p.label, "label", "tandem phone", "`name` of the phone, for enroll and ask")
		flags.StringVar(&p.pinFile, "pin-file", "", "`file` with PIN1 and PIN2; else TANDEM_PIN or a prompt")
		flags.StringVar(&p.newPINFile, "new-pin-file", "", "`file` with the new PIN, for change-pin; else TANDEM_NEW_PIN or a prompt")
		flags.StringVar(&p.key, "key", "", "auth or sign: the `key` whose PIN changes")
		flags.StringVar(&p.code, "code", "", "the `code` to pick among three, for sign")
		flags.StringVar(&p.screen, "screen", "", "the `screen` on which refuse happens: account, codes, confirmation or pin")
		flags.StringVar(&p.link, "link", "", "a device `link` to open")
		flags.DurationVar(&p.wait, "wait", 0, "how `long` poll waits for a transaction")
		flags.StringVar(&p.argon2, "argon2", formatParams(pinlock.DefaultParams()), "cost of a PIN guess, `t,m,p`: passes, memory, lanes")
		return p.run
	},
}

// phoneRun is one run of the command.
type phoneRun struct {
	folder, service, label, pinFile, newPINFile, key, code, screen, link, argon2 string
	wait                                                                         time.Duration

	c     *call
	phone *deviceclient.Phone
}

// action is what one word after "phone" does.
type action struct {
	do    func(*phoneRun, context.Context, string) (result, error)
	arg   string // what may follow
	needs bool   // it must
	fresh bool   // works without an account
}

func phoneActions() map[string]action {
	return map[string]action{
		"enroll":     {do: (*phoneRun).enroll, arg: "CODE", fresh: true},
		"ask":        {do: (*phoneRun).ask, fresh: true},
		"home":       {do: (*phoneRun).home},
		"poll":       {do: (*phoneRun).poll},
		"claim":      {do: (*phoneRun).claim},
		"choose":     {do: (*phoneRun).choose, arg: "CODE"},
		"sign":       {do: (*phoneRun).sign},
		"refuse":     {do: (*phoneRun).refuse},
		"history":    {do: (*phoneRun).history},
		"change-pin": {do: (*phoneRun).changePIN},
		"approve":    {do: (*phoneRun).approve, arg: "REQUEST", needs: true},
		"delete":     {do: (*phoneRun).delete},
	}
}

func (p *phoneRun) run(ctx context.Context, c *call) (result, error) {
	p.c = c
	if p.folder == "" {
		p.folder = c.env("TANDEM_PHONE")
	}
	if p.folder == "" {
		return nil, usagef("which phone? Give its folder with -phone, or in TANDEM_PHONE")
	}
	if len(c.files) == 0 {
		return nil, usagef("what shall the phone do? tandem help phone")
	}
	a, ok := phoneActions()[c.files[0]]
	if !ok {
		return nil, usagef("a phone has no %q", c.files[0])
	}
	arg := ""
	switch rest := c.files[1:]; {
	case len(rest) > 1 || len(rest) == 1 && a.arg == "":
		return nil, usagef("unexpected argument %q", rest[len(rest)-1])
	case len(rest) == 1:
		arg = rest[0]
	case a.needs:
		return nil, usagef("want one %s", a.arg)
	}
	if err := p.open(a.fresh); err != nil {
		return nil, err
	}
	return a.do(p, ctx, arg)
}

// enroll makes the account, or goes on with that.
func (p *phoneRun) enroll(ctx context.Context, code string) (result, error) {
	pins, err := p.newPINs(ctx)
	if err != nil {
		return nil, err
	}
	defer wipe(pins.Authentication, pins.Signature)
	p.c.step("phone: making two keys")
	defer p.c.done()
	var opened deviceclient.Opened
	if code != "" {
		opened, err = p.phone.Enrol(ctx, code, p.label, pins)
	} else {
		opened, err = p.phone.Resume(ctx, pins)
	}
	if err != nil {
		return nil, err
	}
	r := newHomeResult(opened.Account)
	r.RevocationCode = opened.RevocationCode
	return r, nil
}

// newPINs are two that differ.
func (p *phoneRun) newPINs(ctx context.Context) (out deviceclient.PINs, err error) {
	source, err := p.c.pins(ctx, p.pinFile)
	if err != nil {
		return out, err
	}
	defer source.wipe()
	pin1, again, err := source.choose(ctx, pin1Key, nil)
	wipe(again)
	if err != nil {
		return out, err
	}
	pin2, again, err := source.choose(ctx, pin2Key, [][]byte{pin1})
	wipe(again)
	if err != nil {
		wipe(pin1)
		return out, err
	}
	return deviceclient.PINs{Authentication: pin1, Signature: pin2}, nil
}

func wipe(secrets ...[]byte) {
	for _, s := range secrets {
		clear(s)
	}
}

func (p *phoneRun) ask(ctx context.Context, _ string) (result, error) {
	request, err := p.phone.Ask(ctx, p.label)
	return &askResult{Request: request}, err
}

func (p *phoneRun) approve(ctx context.Context, request string) (result, error) {
	n, err := p.phone.Scanned(ctx, request)
	if err != nil {
		return nil, err
	}
	p.c.tell("the phone %q takes the place of this one\n", n.Device)
	pin, err := p.pin(ctx, pin2Key)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	return &approvedResult{Device: n.Device}, p.phone.Approve(ctx, n, pin)
}

func (p *phoneRun) home(ctx context.Context, _ string) (result, error) {
	a, err := p.phone.Account(ctx)
	if err != nil {
		return nil, err
	}
	return newHomeResult(a), nil
}

func (p *phoneRun) history(ctx context.Context, _ string) (result, error) {
	entries, err := p.phone.History(ctx, "")
	return &historyResult{entries}, err
}

func (p *phoneRun) delete(ctx context.Context, _ string) (result, error) {
	if err := p.phone.Delete(ctx); err != nil {
		return nil, err
	}
	return p.home(ctx, "")
}

func (p *phoneRun) changePIN(ctx context.Context, _ string) (result, error) {
	if p.key == "" {
		return nil, usagef("whose PIN changes? Give -key auth or -key sign")
	}
	if err := checkKeyName(p.key); err != nil {
		return nil, err
	}
	d := p.phone.Authentication()
	if p.key == pin2Key {
		d = p.phone.Signature()
	}
	if err := p.settle(ctx, d); err != nil {
		return nil, err
	}
	old, err := p.pin(ctx, p.key)
	if err != nil {
		return nil, err
	}
	defer clear(old)
	next, err := p.newPIN(ctx)
	if err != nil {
		return nil, err
	}
	defer clear(next)
	challenge, err := p.phone.Challenge(ctx, d)
	if err != nil {
		return nil, err
	}
	if err := d.ChangePIN(ctx, challenge, old, next); err != nil {
		return nil, err
	}
	return &changedResult{Key: p.key}, nil
}

// settle finishes what was sent and not answered: a relying party gets a signature that
// was asked for. Whatever else became of it is told by what follows.
func (p *phoneRun) settle(ctx context.Context, d *device.Device) error {
	s, err := d.Status()
	if err != nil || s.Pending == nil {
		return err
	}
	if _, err = d.Resume(ctx); errors.Is(err, device.ErrUnanswered) || errors.Is(err, device.ErrBusy) {
		return err
	}
	return nil
}

func (p *phoneRun) newPIN(ctx context.Context) ([]byte, error) {
	text := p.c.env("TANDEM_NEW_PIN")
	if p.newPINFile == "" && text == "" {
		source := &pins{c: p.c}
		pin, again, err := source.choose(ctx, p.key, nil)
		wipe(again)
		return pin, err
	}
	source := &pins{c: p.c, given: [][]byte{[]byte(strings.TrimSpace(text))}}
	if p.newPINFile != "" {
		var err error
		if source, err = p.c.pins(ctx, p.newPINFile); err != nil {
			return nil, err
		}
	}
	defer source.wipe()
	if len(source.given) != 1 {
		return nil, usagef("want one new PIN")
	}
	pin, again, err := source.choose(ctx, p.key, nil)
	wipe(again)
	return pin, err
}

// pin is that of a key which exists.
func (p *phoneRun) pin(ctx context.Context, key string) ([]byte, error) {
	source, err := p.c.pins(ctx, p.pinFile)
	if err != nil {
		return nil, err
	}
	defer source.wipe()
	return source.get(ctx, key)
}

func (p *phoneRun) poll(ctx context.Context, _ string) (result, error) {
	pending, err := p.phone.Poll(ctx, nil, p.wait)
	if err != nil || pending == nil {
		return &transactionResult{}, err
	}
	return &transactionResult{Found: true, Session: pending.Session, What: pending.Kind, RelyingParty: pending.RelyingParty, Deadline: &pending.Deadline}, nil
}

// transaction opens what waits, or the link. It is nil if nothing waits.
func (p *phoneRun) transaction(ctx context.Context) (*deviceclient.Transaction, error) {
	if p.link != "" {
		return p.phone.OpenLink(ctx, p.link)
	}
	pending, err := p.phone.Poll(ctx, nil, p.wait)
	if err != nil || pending == nil {
		return nil, err
	}
	return p.phone.Open(ctx, pending)
}

func (p *phoneRun) claim(ctx context.Context, _ string) (result, error) {
	t, err := p.transaction(ctx)
	if err != nil {
		return nil, err
	}
	return newTransactionResult(t), nil
}

func (p *phoneRun) choose(ctx context.Context, code string) (result, error) {
	t, err := p.transaction(ctx)
	if err != nil || t == nil {
		return newTransactionResult(t), err
	}
	if code == "" {
		err = t.Use(ctx)
	} else {
		err = t.Choose(ctx, code)
	}
	if err != nil {
		return nil, err
	}
	return newTransactionResult(t).over(t, code == ""), nil
}

// sign shows a transaction, and signs it.
func (p *phoneRun) sign(ctx context.Context, _ string) (result, error) {
	for _, d := range []*device.Device{p.phone.Authentication(), p.phone.Signature()} {
		if err := p.settle(ctx, d); err != nil {
			return nil, err
		}
	}
	t, err := p.transaction(ctx)
	if err != nil || t == nil {
		return newTransactionResult(t), err
	}
	r := newTransactionResult(t)
	p.c.tell("%s", r.shown())
	key := pin1Key
	switch {
	case t.Kind == rp.CertificateChoice:
		if err := t.Use(ctx); err != nil {
			return nil, err
		}
		return r.over(t, true), nil
	case t.Kind == rp.Signature:
		key = pin2Key
	}
	if len(t.Codes) > 0 && p.code != "" {
		if err := t.Choose(ctx, p.code); err != nil {
			return nil, err
		}
	}
	pin, err := p.pin(ctx, key)
	if err != nil {
		return nil, err
	}
	defer clear(pin)
	p.c.step("phone: signing")
	defer p.c.done()
	if err := t.Sign(ctx, pin); err != nil {
		return nil, err
	}
	return r.over(t, true), nil
}

func (p *phoneRun) refuse(ctx context.Context, _ string) (result, error) {
	t, err := p.transaction(ctx)
	if err != nil || t == nil {
		return newTransactionResult(t), err
	}
	if err := t.Refuse(ctx, p.screen); err != nil {
		return nil, err
	}
	r := newTransactionResult(t).over(t, false)
	r.Refused = true
	return r, nil
}

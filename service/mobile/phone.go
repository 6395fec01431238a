package mobile

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/deviceclient"
)

var (
	errFresh   = errors.New("mobile: there is no account on this phone")
	errSamePIN = errors.New("mobile: the two PINs are the same")
	errOther   = errors.New("mobile: another transaction is open")
	errNothing = errors.New("mobile: a phone that NewPhone has not made")
)

// patience is how long a call takes at most, besides what Poll waits.
const patience = 2 * time.Minute

// fetcher is a Storage that brings its own HTTP: a browser's, or a test's.
type fetcher interface {
	Fetch(ctx context.Context, r deviceclient.Request) (*deviceclient.Response, error)
}

// streamer is one that brings its own stream, too.
type streamer interface {
	Stream(ctx context.Context, r deviceclient.Request, part func([]byte) error) (*deviceclient.Response, error)
}

// Phone is the app's one phone: one account, two keys.
type Phone struct {
	config  Config
	params  pinlock.Params
	storage Storage
	keys    PlatformKeys
	fetch   deviceclient.Fetch
	stream  deviceclient.Stream

	op sync.Mutex // what changes the phone

	mu       sync.Mutex // guards the rest
	running  map[int]context.CancelFunc
	calls    int
	hush     context.CancelFunc   // ends Listen
	platform *platformKeys        // once asked for
	token    secret.Value[string] // of phone
	phone    *deviceclient.Phone
}

// record is what the service knows the phone by.
type record struct {
	Token    string `json:"token"`
	Asked    bool   `json:"asked"`    // Ask has begun an enrolment
	Enrolled bool   `json:"enrolled"` // it has ended
}

// NewPhone returns the phone. It calls nobody, and touches nothing. keys may be nil: then
// nothing is sealed.
func NewPhone(config *Config, storage Storage, keys PlatformKeys) (*Phone, error) {
	if config == nil || isnil.Value(storage) {
		return nil, fmt.Errorf("%w: no configuration or no storage", errConfig)
	}
	params, err := config.params()
	if err != nil {
		return nil, err
	}
	p := &Phone{config: *NewConfig(config.URL, config.Scheme, config.HPKEKey), params: params, storage: storage, running: map[int]context.CancelFunc{}}
	if !isnil.Value(keys) {
		p.keys = keys
	}
	if f, ok := storage.(fetcher); ok {
		p.fetch = f.Fetch
	}
	if s, ok := storage.(streamer); ok {
		p.stream = s.Stream
	}
	// What cannot work is told now.
	if _, err = p.make(deviceclient.NewToken(), new(platformKeys)); err != nil {
		return nil, err
	}
	return p, nil
}

// make returns the phone of a token.
func (p *Phone) make(token string, keys *platformKeys) (*deviceclient.Phone, error) {
	c := deviceclient.Config{URL: p.config.URL, Fetch: p.fetch, Stream: p.stream, Token: token, Scheme: p.config.Scheme}
	for name, d := range map[string]*device.Config{authenticationName: &c.Authentication, signatureName: &c.Signature} {
		*d = device.Config{
			Storage: keyStorage{p.storage, name, token}, HPKEKey: p.config.HPKEKey, StorageKey: keys.storage.Get(), Hardware: keys.hardware, Params: p.params,
		}
	}
	return deviceclient.New(c)
}

// CheckPIN says whether a new PIN is one that may be used: CodeOK, CodePINFormat or
// CodeWeakPIN; CodeSamePIN if it is the other key's, which may be empty. It clears
// neither: Enrol asks the same.
func CheckPIN(pin, other []byte) *Outcome {
	o := new(Outcome)
	err := pinlock.CheckPIN(pin)
	if err == nil && subtle.ConstantTimeCompare(pin, other) == 1 {
		err = errSamePIN
	}
	if o.take(err) != nil {
		o.Code = CodePINFormat
	}
	return o
}

// Cancel ends the calls that run. What has not been sent is not sent; what has is
// CodeUnanswered.
func (p *Phone) Cancel() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.running {
		cancel()
	}
}

// begin returns the context of a call, and what ends it.
func (p *Phone) begin(longer time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(context.Background(), patience+longer)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	id := p.calls
	p.running[id] = cancel
	return ctx, func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.running, id)
	}
}

// call is one call of a method.
type call struct {
	*Phone
	ctx    context.Context
	keys   *platformKeys
	record record
	phone  *deviceclient.Phone
	out    *Outcome
}

// change runs what changes the phone: one at a time.
func (p *Phone) change(do func(c *call) error) (*Outcome, error) {
	if p == nil || p.storage == nil {
		return nil, errNothing
	}
	if !p.op.TryLock() {
		return &Outcome{Code: CodeBusy}, nil
	}
	defer p.op.Unlock()
	return p.read(0, do)
}

// read runs what may run beside others.
func (p *Phone) read(longer time.Duration, do func(c *call) error) (*Outcome, error) {
	if p == nil || p.storage == nil {
		return nil, errNothing
	}
	ctx, end := p.begin(longer)
	defer end()
	c := &call{Phone: p, ctx: ctx, out: new(Outcome)}
	err := c.load()
	if err == nil {
		err = do(c)
	}
	if err == nil && c.out.Code != "" {
		return c.out, nil
	}
	if err := c.out.take(err); err != nil {
		return nil, err
	}
	return c.out, nil
}

// load reads who this phone is. The call's phone is nil if it is nobody yet.
func (c *call) load() (err error) {
	p := c.Phone
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.platform == nil {
		if p.platform, err = askPlatform(p.keys); err != nil {
			return err
		}
	}
	c.keys = p.platform
	data, err := loadRecord(p.storage, tokenName, c.keys.storage.Get())
	if err != nil {
		return err
	}
	c.record = record{}
	if data != nil && json.Unmarshal(data, &c.record) != nil {
		return fmt.Errorf("%w: %s", errDamaged, tokenName)
	}
	return c.use()
}

// use makes the phone of the record: that of before, mostly.
func (c *call) use() (err error) {
	p := c.Phone
	if c.record.Token == "" {
		p.phone, p.token, c.phone = nil, secret.Value[string]{}, nil
		return nil
	}
	if p.phone == nil || p.token.Get() != c.record.Token {
		if p.phone, err = p.make(c.record.Token, c.keys); err != nil {
			return err
		}
		p.token = secret.Hide(c.record.Token)
	}
	c.phone = p.phone
	return nil
}

// note makes a record last.
func (c *call) note(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	defer clear(text)
	if err := saveRecord(c.storage, tokenName, text, c.keys.storage.Get()); err != nil {
		return err
	}
	c.Phone.mu.Lock()
	defer c.Phone.mu.Unlock()
	c.record = r
	return c.use()
}

// known is the error of what needs an account.
func (c *call) known() error {
	if c.phone == nil {
		return errFresh
	}
	return nil
}

// device returns the device of a key.
func (c *call) device(key string) (*device.Device, error) {
	switch key {
	case KeyAuthentication:
		return c.phone.Authentication(), nil
	case KeySignature:
		return c.phone.Signature(), nil
	}
	return nil, fmt.Errorf("%w: no key %q", errConfig, key)
}

// settle finds out what became of a request that was not answered: a relying party gets a
// signature that was asked for. Whatever else became of it is told by what follows.
func (c *call) settle(d *device.Device) error {
	s, err := d.Status()
	if err != nil || s.Pending == nil {
		return err
	}
	if _, err = d.Resume(c.ctx); errors.Is(err, device.ErrUnanswered) || errors.Is(err, device.ErrBusy) {
		return err
	}
	return nil
}

package deviceclient

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/rp"
)

// ErrConfig is returned by [New] for a configuration that cannot work.
var ErrConfig = errors.New("deviceclient: unusable configuration")

// Config is what [New] makes a Phone of.
type Config struct {
	// URL is that of the service's device API, without a slash at its end: https, unless
	// it is on this machine. Required.
	URL string
	// Fetch makes the requests; what it waits must be longer than the waits of Poll. nil
	// is net/http, and an error in a browser, where there is none.
	Fetch Fetch
	// Stream is for Phone.Listen; nil is net/http, and none in a browser.
	Stream Stream
	// Token is the phone's: [NewToken], kept beside the keys. Required.
	Token string `json:"-"`
	// Scheme is the service's schemeName, such as "smart-id-demo". Required: it is in
	// what logins sign.
	Scheme string
	// Authentication and Signature are the phone's keys; Transport is set by New. Each
	// has a storage of its own.
	Authentication, Signature device.Config
	// Interactions are those that the app can do; nil means all of them.
	Interactions []rp.InteractionType
}

// Format hides the token.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "deviceclient.Config(%s)", c.URL) }

// NewToken draws a token: 43 characters.
func NewToken() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// Phone is one account on one phone. Its methods may be called from many goroutines; each
// key does one thing at a time ([device.ErrBusy]).
type Phone struct {
	client       client
	scheme       string
	devices      [2]*device.Device
	interactions []rp.InteractionType
}

// uses are the keys in the order of all that has two.
var uses = [2]string{devicewire.Authentication, devicewire.Signature}

// New returns a Phone. It calls nobody. The error wraps ErrConfig.
func New(c Config) (*Phone, error) {
	if err := checkURL(c.URL); err != nil {
		return nil, err
	}
	if c.Token == "" || c.Scheme == "" {
		return nil, fmt.Errorf("%w: no token or no scheme", ErrConfig)
	}
	p := &Phone{client: client{base: c.URL, fetch: c.Fetch, stream: c.Stream, token: secret.Copy([]byte(c.Token))}, scheme: c.Scheme, interactions: c.Interactions}
	if p.client.fetch == nil {
		p.client.fetch = defaultFetch()
	}
	if p.client.stream == nil {
		p.client.stream = defaultStream()
	}
	if p.client.fetch == nil {
		return nil, fmt.Errorf("%w: no Fetch", ErrConfig)
	}
	if p.interactions == nil {
		p.interactions = []rp.InteractionType{
			rp.DisplayTextAndPIN, rp.VerificationCodeChoice, rp.ConfirmationMessage, rp.ConfirmationMessageAndVerificationCodeChoice,
		}
	}
	for i, config := range []device.Config{c.Authentication, c.Signature} {
		config.Transport = p.transport
		var err error
		if p.devices[i], err = device.New(config); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	return p, nil
}

// Format hides the token.
func (p Phone) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "deviceclient.Phone(%s)", p.client.base) }

func (p *Phone) ready(ctx context.Context) error {
	if p == nil || p.devices[0] == nil || ctx == nil {
		return fmt.Errorf("%w: no phone, or no context", ErrConfig)
	}
	return nil
}

// Authentication and Signature return the device of each key: for its status, for
// [device.Device.ChangePIN] with a challenge from Phone.Challenge, and the like.
func (p *Phone) Authentication() *device.Device { return p.device(0) }
func (p *Phone) Signature() *device.Device      { return p.device(1) }

func (p *Phone) device(i int) *device.Device {
	if p == nil {
		return nil
	}
	return p.devices[i]
}

// Account is what the service knows of the account.
type Account = devicewire.AccountBody

// Account returns the account, also one that has ended. Errors are an [*Error] or the
// connection's, as of all that follow.
func (p *Phone) Account(ctx context.Context) (Account, error) {
	var a Account
	err := p.ready(ctx)
	if err == nil {
		err = p.client.call(ctx, "GET", devicewire.Account, nil, &a)
	}
	return a, err
}

// Delete ends the account, for ever.
func (p *Phone) Delete(ctx context.Context) error {
	if err := p.ready(ctx); err != nil {
		return err
	}
	return p.client.call(ctx, "DELETE", devicewire.Account, nil, &nothing{})
}

// Entry is a line of the history.
type Entry = devicewire.Entry

// History returns the last lines of what was done with the person's accounts, the latest
// first: those before a line's ID, if that is not empty.
func (p *Phone) History(ctx context.Context, before string) ([]Entry, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	var out devicewire.Entries
	err := p.client.post(ctx, devicewire.History, map[string]string{"before": before}, &out)
	return out.Entries, err
}

// Challenge returns a challenge for what signs nothing, with one of the two keys.
func (p *Phone) Challenge(ctx context.Context, d *device.Device) ([]byte, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	use := uses[0]
	switch d {
	case p.devices[0]:
	case p.devices[1]:
		use = uses[1]
	default:
		return nil, fmt.Errorf("%w: not a device of this phone", ErrConfig)
	}
	var out devicewire.ChallengeBody
	err := p.client.post(ctx, devicewire.Challenge, map[string]string{"use": use}, &out)
	return out.Challenge, err
}

// Pending is a session that waits for the person.
type Pending = devicewire.Pending

// Poll returns the oldest session that waits; nil if there is none. It waits for one, for
// about as long as wait, and for another one than known, if that is not nil.
func (p *Phone) Poll(ctx context.Context, known *Pending, wait time.Duration) (*Pending, error) {
	if err := p.ready(ctx); err != nil {
		return nil, err
	}
	in := map[string]string{}
	if known != nil {
		in["known"] = known.Session
	}
	path := devicewire.Poll
	if wait > 0 {
		path += "?timeoutMs=" + strconv.FormatInt(max(wait.Milliseconds(), 1), 10)
	}
	var out devicewire.PollBody
	err := p.client.post(ctx, path, in, &out)
	return out.Pending, err
}

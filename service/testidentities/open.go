package testidentities

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tandem-rsa/tandem/internal/isnil"
	"github.com/tandem-rsa/tandem/pinlock"
	"github.com/tandem-rsa/tandem/protocol/device"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// ErrConfig is wrapped by the errors of [Open] for a configuration in which test
// identities cannot, or must not, be.
var ErrConfig = errors.New("testidentities: unusable configuration")

// Protocol is what enrolment needs of a *server.Server.
type Protocol interface {
	Handle(ctx context.Context, request []byte) ([]byte, error)
	HPKEKey() []byte
}

// Config is what [Open] makes Identities of. What has no other remark is required.
type Config struct {
	Accounts *accounts.Accounts
	Engine   *transactions.Engine
	Protocol Protocol
	// IssuingCA is the certificate of the CA that issues. Its name must begin with
	// "TEST".
	IssuingCA *x509.Certificate
	// Folder keeps the phones; Open makes it. It belongs to one process.
	Folder string

	// Identities are those that there are; nil means [All].
	Identities []Identity
	// CallbackHosts are the hosts, such as "rp.example" or "localhost:8443", whose
	// callback URLs [Identities.Handler] calls. None by default.
	CallbackHosts []string
	// CallbackClient calls them; nil is one that trusts the certificates that this system
	// does. Its redirects are not followed.
	CallbackClient *http.Client

	Log *slog.Logger // slog.Default() if nil
}

// Identities are test persons with their phones.
type Identities struct {
	config Config
	phones []*phone

	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	at     sync.WaitGroup // phones at work
}

const testName = "TEST"

// Open returns the test identities, and enrols those that are not there yet: it takes
// half a minute for the first time. The error wraps ErrConfig for a CA that is none for
// tests.
func Open(ctx context.Context, c Config) (*Identities, error) {
	switch {
	case c.Accounts == nil || c.Engine == nil || isnil.Value(c.Protocol) || c.Folder == "":
		return nil, fmt.Errorf("%w: something is missing", ErrConfig)
	case c.IssuingCA == nil || !strings.HasPrefix(c.IssuingCA.Subject.CommonName, testName):
		return nil, fmt.Errorf("%w: the name of the issuing CA does not begin with %q: test identities have no place in production", ErrConfig, testName)
	}
	if c.Identities == nil {
		c.Identities = all
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	client := http.Client{Timeout: 10 * time.Second}
	if c.CallbackClient != nil {
		client = *c.CallbackClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.CallbackClient = &client
	t := &Identities{config: c}
	for _, i := range c.Identities {
		for n, b := range i.Phones {
			p, err := t.open(ctx, i, n, b)
			if err != nil {
				return nil, fmt.Errorf("testidentities: %s: %w", i.Person.ID, err)
			}
			t.phones = append(t.phones, p)
		}
	}
	t.ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return t, nil
}

// Close ends the phones, and waits for those that are at work.
func (t *Identities) Close() {
	if t == nil || t.cancel == nil {
		return
	}
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.at.Wait()
}

// The PINs of all test persons. They are no secret.
var pins = [2][]byte{[]byte("4917"), []byte("83015")}

// open returns a phone, with an account.
func (t *Identities) open(ctx context.Context, i Identity, n int, b Behavior) (*phone, error) {
	p := &phone{identities: t, behavior: b}
	folder := filepath.Join(t.config.Folder, i.Person.ID.String()+"-"+strconv.Itoa(n+1))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	for n, use := range []string{"authentication", "signature"} {
		storage, err := device.NewFileStorage(filepath.Join(folder, use))
		if err != nil {
			return nil, err
		}
		p.devices[n], err = device.New(device.Config{
			Storage: storage, Transport: p.send, HPKEKey: t.config.Protocol.HPKEKey(),
			Params: pinlock.Params{Time: 1, MemoryKiB: 8, Threads: 1}, // nobody has to guess
		})
		if err != nil {
			return nil, err
		}
	}
	token, err := p.token(folder)
	if err != nil {
		return nil, err
	}
	p.account, err = t.config.Accounts.ByToken(ctx, token)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		p.account, err = t.enroll(ctx, p, i, token, folder)
	case errors.Is(err, accounts.ErrEnded):
		// Somebody has tried how an account is deleted: the person gets another phone.
		if err := os.RemoveAll(folder); err != nil {
			return nil, err
		}
		return t.open(ctx, i, n, b)
	}
	if err != nil {
		return nil, err
	}
	// Whatever the configuration says, what counts is who certified the keys.
	for _, k := range p.account.Keys {
		c, err := x509.ParseCertificate(k.Certificate)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(c.Issuer.CommonName, testName) {
			return nil, errors.Join(fmt.Errorf("%w: a certificate of %q", ErrConfig, c.Issuer.CommonName), t.config.Accounts.End(ctx, p.account.Document, accounts.ByMistake))
		}
	}
	switch b {
	case Suspended:
		err = t.config.Accounts.Suspend(ctx, p.account.Document)
	case Unusable:
		// For this phone only: so the next session begins at once.
		p.account.State = accounts.Suspended
	}
	return p, err
}

// token returns the phone's token, which it draws once.
func (p *phone) token(folder string) (string, error) {
	file := filepath.Join(folder, "token")
	text, err := os.ReadFile(file)
	if err == nil {
		return string(text), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	token := accounts.NewToken()
	return token, os.WriteFile(file, []byte(token), 0o600)
}

// label is what the phones are called.
const label = "test identity"

// enroll gives a person another account, on a phone. What was cut off before goes on.
func (t *Identities) enroll(ctx context.Context, p *phone, i Identity, token, folder string) (accounts.Account, error) {
	a := t.config.Accounts
	e, err := a.Continue(ctx, token)
	if errors.Is(err, accounts.ErrCode) {
		var r accounts.Registered
		if r, err = a.Register(ctx, accounts.Registration{Person: i.Person, Level: i.Level}); err != nil {
			return accounts.Account{}, err
		}
		// Each counts as a source of its own: they are more than may try in a minute.
		e, err = a.Begin(ctx, r.Code, token, label, filepath.Base(folder))
	}
	if err != nil {
		return accounts.Account{}, err
	}
	for n, offer := range e.Offers {
		if offer.Challenge != nil {
			if err := p.devices[n].Enroll(ctx, device.EnrollOptions{Challenge: offer.Challenge, PIN: pins[n]}); err != nil {
				return accounts.Account{}, err
			}
		}
		if !offer.Confirmed {
			if err := p.devices[n].Confirm(ctx, nil, pins[n]); err != nil {
				return accounts.Account{}, err
			}
		}
	}
	opened, err := a.Finish(ctx, token)
	return opened.Account, err
}

// Document returns the document number of a test person's phone, the first being 0.
func (t *Identities) Document(person identity.ID, n int) (identity.Document, bool) {
	if t != nil {
		for _, p := range t.phones {
			if p.account.Document.ID != person {
				continue
			}
			if n == 0 {
				return p.account.Document, true
			}
			n--
		}
	}
	return identity.Document{}, false
}

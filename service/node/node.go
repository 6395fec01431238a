package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/ca/sqlstore"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/deviceapi"
	"github.com/tandem-rsa/tandem/service/identity"
	"github.com/tandem-rsa/tandem/service/notices"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
	"github.com/tandem-rsa/tandem/service/testidentities"
	"github.com/tandem-rsa/tandem/service/transactions"
)

// GCPercent is what a process that serves a node sets with [debug.SetGCPercent], unless
// its operator has set GOGC: almost all that requests allocate is of no use when they are
// answered, and what stays is small, so that the default would collect some times a
// second.
const GCPercent = 300

// Where the parts are.
const (
	rpPath     = "/smart-id-rp"
	devicePath = "/device/v1"
	caPath     = "/pki"
	linkPath   = "/device-link"
	mockPath   = "/mock/device-link"
	healthPath = "/healthz"
	readyPath  = "/readyz"
)

// Node is one process of the service. It is an http.Handler, which must not be behind an
// http.ServeMux.
type Node struct {
	config     Config
	db         *database.DB
	server     *server.Server
	accounts   *accounts.Accounts
	engine     *transactions.Engine
	outbox     *notices.Outbox
	push       *push.Push
	identities *testidentities.Identities // nil without any
	metrics    *metered

	api                  *rphttp.Handler
	device               *deviceapi.Handler
	parties, phones, pki http.Handler
	mock                 http.Handler // nil without test identities
	inside               *inside      // of the pages; nil without any
	browsers             map[string]http.Handler

	draining       atomic.Bool
	problem        atomic.Pointer[error] // of the last look at the parts
	stop           context.CancelFunc
	background     sync.WaitGroup
	closing, ended sync.Once
}

// Open starts a node. What it works with stays the caller's to close, after Close. The
// error wraps ErrConfig, or is a part's.
func Open(ctx context.Context, c Config) (*Node, error) {
	if ctx == nil {
		return nil, fmt.Errorf("%w: no context", ErrConfig)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	n := &Node{config: c, db: c.DB}
	if err := n.parts(); err != nil {
		return nil, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	engine := rphttp.Engine(n.engine)
	if t := c.TestIdentities; t != nil {
		err := n.demo(ctx)
		if err != nil {
			stop()
			return nil, err
		}
		n.identities, err = testidentities.Open(ctx, testidentities.Config{
			Accounts: n.accounts, Engine: n.engine, Protocol: n.server, IssuingCA: c.Issuing[0].Certificate,
			Folder: t.Folder, CallbackHosts: t.CallbackHosts, Log: c.Log,
		})
		if err != nil {
			stop()
			return nil, err
		}
		engine, n.mock = n.identities.Watch(n.engine), n.identities.Handler()
	}
	err := n.handlers(engine)
	if err == nil {
		err = n.pages(ctx)
	}
	if err != nil {
		n.inside.close()
		n.identities.Close()
		stop()
		return nil, err
	}
	n.look(ctx)
	for _, run := range []func(context.Context){
		func(ctx context.Context) { _ = n.accounts.Run(ctx) },
		func(ctx context.Context) { _ = n.engine.Run(ctx) },
		func(ctx context.Context) { _ = n.outbox.Run(ctx) },
		func(ctx context.Context) { _ = n.push.Run(ctx) },
		n.watch,
		n.deliver,
	} {
		n.background.Go(func() { run(background) })
	}
	return n, nil
}

// parts makes what works: the server first, which needs functions of the others.
func (n *Node) parts() (err error) {
	c := &n.config
	if n.outbox, err = notices.NewOutbox(notices.Config{DB: c.DB, Senders: c.Senders, Log: c.Log}); err != nil {
		return err
	}
	if n.push, err = push.New(push.Config{DB: c.DB, Senders: c.Push, Log: c.Log}); err != nil {
		return err
	}
	s := c.Server
	events, err := accounts.NewEvents(c.DB, n.outbox, s.Audit)
	if err != nil {
		return err
	}
	if n.metrics, err = newMetered(c.Metrics); err != nil {
		return err
	}
	s.Audit = events
	s.Signed = func(ctx context.Context, x server.Signed) error { return n.engine.Signed(ctx, x) }
	s.Admit = func(ctx context.Context, id protocol.KeyID, op protocol.Operation) error {
		return n.accounts.Admit(ctx, id, op)
	}
	if n.metrics != nil {
		s.Observer = n.metrics.server
	}
	if s.Log == nil {
		s.Log = c.Log
	}
	if n.server, err = server.New(s); err != nil {
		return err
	}
	issued, err := sqlstore.New(c.DB)
	if err != nil {
		return err
	}
	authority, err := ca.New(ca.Config{Issuing: c.Issuing, Store: issued, Profile: c.Profile, URL: c.CAURL})
	if err != nil {
		return err
	}
	n.pki = http.StripPrefix(caPath, authority.Handler(c.Log))
	n.accounts, err = accounts.New(accounts.Config{
		DB: c.DB, Keys: n.server, Issuer: authority, Issued: issued, Secret: c.Secret, Notices: n.outbox, Quotas: c.Quotas, Log: c.Log,
	})
	if err != nil {
		return err
	}
	n.engine, err = transactions.New(transactions.Config{
		DB: c.DB, Accounts: n.accounts, Protocol: n.server, Scheme: c.Scheme, LinkBase: c.LinkBase, QualifiedDevice: c.QualifiedDevice, Wake: n.wake, Log: c.Log,
	})
	if err != nil {
		return err
	}
	n.accounts.OnEnd(n.engine.CloseAccount)
	n.accounts.OnEnd(n.push.CloseAccount)
	return nil
}

// deadStream is how long a phone that listens has for a session before it is woken by
// push as well: its connection may be dead, and nobody know it yet.
const deadStream = 5 * time.Second

// wake has a phone woken that does not listen here. One that listens at another node
// hears it twice, and shows it once.
func (n *Node) wake(d identity.Document) {
	if !n.device.Listens(d) {
		n.push.Wake(d)
		return
	}
	time.AfterFunc(deadStream, func() {
		ctx, cancel := context.WithTimeout(context.Background(), lookTime)
		defer cancel()
		if waits, err := n.engine.Poll(ctx, accounts.Account{Document: d}, "", 0); err == nil && waits != nil {
			n.push.Wake(d)
		}
	})
}

func (n *Node) handlers(engine rphttp.Engine) (err error) {
	c := &n.config
	n.api, err = rphttp.NewHandler(engine, rphttp.Options{
		Base: rpPath, LocalCallbacks: !c.Production, TrustedProxies: c.TrustedProxies, RequestIDHeader: c.RequestIDHeader, Log: c.Log, Observe: n.metrics.answered,
	})
	if err != nil {
		return err
	}
	n.device, err = deviceapi.NewHandler(deviceapi.Config{
		Engine: n.engine, Accounts: n.accounts, Server: n.server, Subscriptions: n.push, Log: c.Log,
		Source: func(r *http.Request) netip.Addr { return n.api.Source(r).Address },
	})
	n.parties, n.phones = n.metrics.parties(n.api), n.metrics.phones(http.StripPrefix(devicePath, n.device))
	return err
}

// demoParties are the relying parties of public examples.
var demoParties = []string{"00000000-0000-4000-8000-000000000000", "00000000-0000-0000-0000-000000000000"}

// demo adds the relying party that test identities are for, unless it is there: of this
// machine only.
func (n *Node) demo(ctx context.Context) error {
	for _, uuid := range demoParties {
		_, err := n.accounts.RelyingParty(ctx, uuid)
		if errors.Is(err, accounts.ErrNotFound) {
			err = n.accounts.SetRelyingParty(ctx, accounts.RelyingParty{
				UUID: uuid, Names: []string{"DEMO"}, Advanced: true, ShareIP: true,
				Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deliver gives the events that a crash left in the records of keys to the accounts and
// the audit sink: without it they would wait for the next request of their key.
func (n *Node) deliver(ctx context.Context) {
	store, ok := n.config.Server.Store.(limiter.Lister)
	if !ok {
		return
	}
	for name, err := range limiter.IDs(ctx, store, "") {
		if err == nil {
			id, ok := server.KeyOfRecord(name)
			if !ok {
				continue
			}
			err = n.server.DeliverEvents(ctx, id)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			n.config.Log.ErrorContext(ctx, "looking for events that were not delivered", "cause", err)
		}
	}
}

// HPKEKey is what apps are shipped with.
func (n *Node) HPKEKey() []byte {
	if n == nil {
		return nil
	}
	return n.server.HPKEKey()
}

// PushKey is what browsers subscribe to Web Push for; nil without it.
func (n *Node) PushKey() []byte {
	if n == nil {
		return nil
	}
	web, _ := n.config.Push[push.KindWeb].(interface{ PublicKey() []byte })
	if web == nil {
		return nil
	}
	return web.PublicKey()
}

// Accounts are the node's.
func (n *Node) Accounts() *accounts.Accounts {
	if n == nil {
		return nil
	}
	return n.accounts
}

// Drain ends all waits, now and from now on, and has /readyz say so.
func (n *Node) Drain() {
	if n == nil || n.stop == nil {
		return
	}
	n.draining.Store(true)
	n.closing.Do(func() {
		n.api.Drain()
		n.device.Close()
	})
}

// Close ends what works in the background. Requests must have ended before.
func (n *Node) Close() {
	if n == nil || n.stop == nil {
		return
	}
	n.Drain()
	n.ended.Do(func() {
		n.inside.close()
		n.identities.Close()
		n.stop()
		n.background.Wait()
	})
}

package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/internal/devicewire"
	"github.com/tandem-rsa/tandem/service/node"
	"github.com/tandem-rsa/tandem/service/push"
	"github.com/tandem-rsa/tandem/service/web/phone"
	"github.com/tandem-rsa/tandem/splitkey"
)

var serveCommand = &command{
	name: "serve", args: "[-dir DIR] [-config FILE] [-listen ADDRESS] [-test-identities] [-bank]", plain: true,
	about: "is the service: relying parties, phones, certificates",
	help: `
Serve answers relying parties below /smart-id-rp, phones below /device/v1, whoever checks a
certificate below /pki, and browsers: / says what is there. Without a configuration it is a trial,
with everything in one folder, which it makes: a server's keys, a CA whose name begins with TEST, a
database. It prints what to do next. Its log, one JSON object a line, goes to standard error.

Without a certificate it listens on this machine only: put a proxy that speaks TLS in front. Ctrl-C
or SIGTERM ends it in good order: requests under way are answered first.

With -test-identities there are persons who answer by themselves, so that an e-service can be tried
without a phone. Making them takes a minute.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *call) (result, error) {
		s := new(serveRun)
		s.declare(flags)
		s.pin.declare(flags)
		flags.StringVar(&s.listen, "listen", "", "`address` to listen on (default "+defaultListen+")")
		flags.StringVar(&s.metrics, "metrics", "", "`address` of /metrics, on this machine (default "+defaultMetrics+"); or off")
		flags.StringVar(&s.url, "url", "", "`URL` by which phones and relying parties reach the service; else the address")
		flags.StringVar(&s.tls.Certificate, "tls-certificate", "", "`file` with a certificate and its chain")
		flags.StringVar(&s.tls.Key, "tls-key", "", "`file` with its key")
		flags.BoolVar(&s.test, "test-identities", false, "have persons who answer by themselves, and the bank")
		flags.BoolVar(&s.bank, "bank", false, "have a bank at /bank/, to try logins and signatures in a browser")
		return s.run
	},
}

// serveRun is one run of the command.
type serveRun struct {
	serviceFlags
	pin                  hsmPIN
	listen, metrics, url string
	tls                  tlsConfig
	test, bank           bool

	config serviceConfig
	log    *slog.Logger
}

const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	maxHeaders = 16 << 10
	// stopTime is how long requests under way have when the service stops. What waits is
	// answered at once, so that is a signature and a slow client.
	stopTime = 30 * time.Second
)

func (s *serveRun) run(ctx context.Context, c *call) (_ result, err error) {
	if err := c.noFiles(); err != nil {
		return nil, err
	}
	if s.config, err = s.read(c); err != nil {
		return nil, err
	}
	s.override()
	if err := s.config.check(); err != nil {
		return nil, err
	}
	s.log = logOf(c.errOut)
	if err := s.make(ctx, c, &s.config); err != nil {
		return nil, err
	}
	c.done()
	// Before anything else is opened, so that its address is known.
	listener, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return nil, failf("busy", "give another address with -listen", "%w", err)
	}
	defer listener.Close()
	if s.config.URL == "" {
		scheme := "http"
		if s.config.TLS != nil {
			scheme = "https"
		}
		s.config.URL = scheme + "://" + listener.Addr().String()
	}
	s.config.URL = strings.TrimRight(s.config.URL, "/")
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n, shut, err := s.open(ctx, c, registry)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, shut()) }()
	return nothingMore{}, s.serve(ctx, c, n, listener, registry)
}

// override has flags win over the file.
func (s *serveRun) override() {
	for _, f := range []struct {
		from string
		to   *string
	}{{s.listen, &s.config.Listen}, {s.metrics, &s.config.Metrics}, {s.url, &s.config.URL}} {
		if f.from != "" {
			*f.to = f.from
		}
	}
	if s.tls != (tlsConfig{}) {
		s.config.TLS = &s.tls
	}
	if s.test && s.config.TestIdentities == nil {
		s.config.TestIdentities = new(testConfig)
	}
	if s.bank {
		s.config.Demo.Bank = true
	}
	if s.pin.file == "" {
		s.pin.file = s.config.HSMPINFile
	}
}

// open opens all that the node works with, and the node.
func (s *serveRun) open(ctx context.Context, c *call, registry *prometheus.Registry) (_ *node.Node, _ func() error, err error) {
	var closers []func() error
	shut := func() error {
		var errs []error
		for i := len(closers) - 1; i >= 0; i-- {
			errs = append(errs, closers[i]())
		}
		return errors.Join(errs...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, shut())
		}
	}()
	config := node.Config{
		Production: s.config.production(), Scheme: s.config.Scheme, LinkBase: s.config.LinkBase, QualifiedDevice: s.config.QualifiedDevice,
		TrustedProxies: s.config.Proxies, RequestIDHeader: s.config.RequestIDHeader, Quotas: s.config.Quotas.quotas(), CAURL: s.config.CA.URL,
		Profile: ca.CompatProfile(), Metrics: registry, Log: s.log,
		Pages: s.pages(),
	}
	if config.LinkBase == "" {
		config.LinkBase = s.config.URL + "/device-link"
	}
	if config.CAURL == "" {
		config.CAURL = s.config.URL + "/pki"
	}
	if s.config.CA.Profile != nil {
		config.Profile = *s.config.CA.Profile
	}
	if t := s.config.TestIdentities; t != nil {
		config.TestIdentities = &node.TestIdentities{Folder: filepath.Join(s.dir, phonesDir), CallbackHosts: t.CallbackHosts}
		if !s.config.production() {
			c.step("making test identities, the first time")
			defer c.done()
		}
	}
	if config.Secret, err = readSecret(s.config.Secret, secretSize, secretSize); err != nil {
		return nil, nil, err
	}
	defer clear(config.Secret)
	if config.Senders, err = s.config.Notices.senders(); err != nil {
		return nil, nil, err
	}
	if config.Push, err = s.push(config); err != nil {
		return nil, nil, err
	}
	backend, err := openBackendFor(ctx, c, s.config.Server, s.pin, demand{s.config.HSMSessions, s.config.stock()}, s.log)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, backend.close)
	keys := &caKeys{c: c}
	keys.lend(backend.config.HSM, backend.vault.token)
	closers = append(closers, keys.close)
	folder, err := ca.OpenFolder(s.config.CA.Folder, keys.opener(ctx, hsmPIN{s.config.CA.HSMPINFile}, s.log))
	if err != nil {
		return nil, nil, err
	}
	config.Issuing = folder.Issuing
	audit, err := disk.OpenLog(backend.path(auditFile), secretMode)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, audit.Close)
	store, err := backend.openMarked(ctx, s.log)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, store.Close)
	config.Server = backend.parts(c, store, audit)
	config.Server.Log = s.log
	if config.DB, err = openDatabase(ctx, s.config, true); err != nil {
		return nil, nil, err
	}
	closers = append(closers, config.DB.Close)
	n, err := node.Open(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	closers = append(closers, func() error { n.Close(); return nil })
	return n, shut, nil
}

// pages are what browsers get: nothing where the service is below a path of its host,
// since their links begin at the root.
func (s *serveRun) pages() *node.Pages {
	u, err := url.Parse(s.config.URL)
	if err != nil || u.Path != "" {
		s.log.Warn("no pages for browsers: url has a path")
		return nil
	}
	p := &node.Pages{URL: s.config.URL, Bank: s.config.bank()}
	// In production nothing is compiled because a stranger asks for it.
	if !s.config.production() || s.config.Phone {
		p.Phone = phone.Files
	}
	return p
}

// push are what wake phones: Web Push, where there is a phone in browsers. Its key
// follows from the service's secret, so that it is the same on all nodes, and after a
// restart.
func (s *serveRun) push(c node.Config) (map[string]push.Sender, error) {
	if c.Pages == nil || c.Pages.Phone == nil {
		return nil, nil
	}
	web, err := push.NewWeb(c.Secret, s.config.URL)
	if errors.Is(err, splitkey.ErrFIPS) {
		s.log.Warn("phones are not woken", "cause", err)
		return nil, nil
	}
	return map[string]push.Sender{push.KindWeb: web}, err
}

// serve answers until ctx ends, and then lets what is under way end.
func (s *serveRun) serve(ctx context.Context, c *call, n *node.Node, listener net.Listener, registry *prometheus.Registry) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(node.GCPercent)
	}
	web := s.web(n)
	serve := web.Serve
	if s.config.TLS != nil {
		pair, err := newPair(*s.config.TLS, s.log, time.Now)
		if err != nil {
			return err
		}
		web.TLSConfig = pair.tls()
		serve = func(l net.Listener) error { return web.ServeTLS(l, "", "") }
	}
	servers := []*http.Server{web}
	failed := make(chan error, 2)
	if s.config.Metrics != off {
		l, err := net.Listen("tcp", s.config.Metrics)
		if err != nil {
			return failf("busy", "give another address with -metrics, or off", "%w", err)
		}
		metrics := s.web(metricsOf(n, registry))
		servers = append(servers, metrics)
		go func() { failed <- metrics.Serve(l) }()
		s.log.Info("metrics", "address", l.Addr().String())
	}
	if err := writePhoneConfig(s.dir, devicewire.AppConfig{URL: s.config.URL + "/device/v1", Scheme: s.config.Scheme, HPKEKey: n.HPKEKey(), PushKey: n.PushKey()}); err != nil {
		return err
	}
	first, err := s.first(ctx, n)
	if err != nil {
		return err
	}
	c.done()
	go func() { failed <- serve(listener) }()
	s.log.Info("serving", "address", listener.Addr().String(), "url", s.config.URL, "production", s.config.production())
	if _, err := io.WriteString(c.out, first); err != nil {
		s.log.Warn("standard output takes nothing", "cause", err)
	}
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	s.log.Info("stopping")
	n.Drain()
	if err == nil && s.config.Drain > 0 {
		time.Sleep(time.Duration(s.config.Drain)) // the proxy sees /readyz, and sends no more
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	for _, w := range servers {
		err = errors.Join(err, w.Shutdown(stop))
	}
	s.log.Info("stopped")
	return err
}

func (s *serveRun) web(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaders,
		ErrorLog: log.New(webLog{s.log}, "", 0),
	}
}

// webLog has what net/http complains of, but for handshakes that fail: these only tell
// the address of a stranger.
type webLog struct{ log *slog.Logger }

func (w webLog) Write(line []byte) (int, error) {
	if text := strings.TrimSpace(string(line)); !strings.HasPrefix(text, "http: TLS handshake error") {
		w.log.Warn("http", "message", text)
	}
	return len(line), nil
}

// metricsOf serves /metrics, and for whoever looks there what is on the other address.
func metricsOf(n *node.Node, registry *prometheus.Registry) http.Handler {
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/metrics":
			metrics.ServeHTTP(w, r)
		case "/healthz", "/readyz":
			n.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

type nothingMore struct{}

func (nothingMore) text(io.Writer) {}

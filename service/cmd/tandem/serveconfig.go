package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/quota"
	"github.com/tandem-rsa/tandem/service/strictjson"
)

// serviceConfig is what -config names, in JSON. docs/service.md has its members. Paths
// are relative to -dir.
type serviceConfig struct {
	Production *bool `json:"production"` // no default: who writes a file says which it is

	Listen          string         `json:"listen"`
	URL             string         `json:"url"`
	TLS             *tlsConfig     `json:"tls"`
	Proxies         []netip.Prefix `json:"proxies"`
	RequestIDHeader string         `json:"request_id_header"`
	Metrics         string         `json:"metrics"`
	Drain           period         `json:"drain"`

	Server      string `json:"server"`
	HSMPINFile  string `json:"hsm_pin_file"`
	HSMSessions int    `json:"hsm_sessions"`
	KeyStock    *int   `json:"key_stock"`
	Database    string `json:"database"`
	Secret      string `json:"secret"`

	CA              caConfig `json:"ca"`
	Scheme          string   `json:"scheme"`
	LinkBase        string   `json:"link_base"`
	QualifiedDevice bool     `json:"qualified_device"`

	Notices noticesConfig `json:"notices"`
	Quotas  quotasConfig  `json:"quotas"`

	TestIdentities *testConfig `json:"test_identities"`
	Demo           demoConfig  `json:"demo"`
	Phone          bool        `json:"phone"`
}

// demoConfig has demonstrations.
type demoConfig struct {
	Bank bool `json:"bank"`
}

// bank reports whether there is one: test identities have no use without.
func (c *serviceConfig) bank() bool { return c.Demo.Bank || c.TestIdentities != nil }

type tlsConfig struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

type caConfig struct {
	Folder     string      `json:"folder"`
	HSMPINFile string      `json:"hsm_pin_file"`
	URL        string      `json:"url"`
	Profile    *ca.Profile `json:"profile"`
}

type noticesConfig struct {
	SMTP    *smtpConfig    `json:"smtp"`
	Webhook *webhookConfig `json:"webhook"`
}

type smtpConfig struct {
	Address      string `json:"address"`
	TLS          bool   `json:"tls"`
	From         string `json:"from"`
	Username     string `json:"username"`
	PasswordFile string `json:"password_file"`
}

type webhookConfig struct {
	URL        string `json:"url"`
	SecretFile string `json:"secret_file"`
}

// quotasConfig has rules such as "10/1m"; what is absent is accounts.DefaultQuotas's.
type quotasConfig struct {
	Begin *rulesConfig `json:"begin"`
	PIN   *rulesConfig `json:"pin"`
	Code  *rulesConfig `json:"code"`
}

type rulesConfig struct {
	Person       []rule `json:"person"`
	RelyingParty []rule `json:"relying_party"`
	Source       []rule `json:"source"`
	All          []rule `json:"all"`
}

type testConfig struct {
	CallbackHosts []string `json:"callback_hosts"`
}

// period is a time.Duration as text.
type period time.Duration

func (p *period) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err == nil && (d < 0 || d > time.Hour) {
		err = fmt.Errorf("%v is not from 0s to 1h", d)
	}
	*p = period(d)
	return err
}

// rule is "N/DURATION": N attempts in this time.
type rule quota.Rule

func (r *rule) UnmarshalText(text []byte) error {
	number, per, _ := strings.Cut(string(text), "/")
	n, err1 := strconv.Atoi(number)
	d, err2 := time.ParseDuration(per)
	if err := errors.Join(err1, err2); err != nil || n < 1 || d <= 0 {
		return fmt.Errorf("%q is no rule such as 10/1m", text)
	}
	*r = rule{N: n, Per: d}
	return nil
}

func (r *rulesConfig) or(standard quota.Rules) quota.Rules {
	if r == nil {
		return standard
	}
	rules := func(list []rule) (out []quota.Rule) {
		for _, x := range list {
			out = append(out, quota.Rule(x))
		}
		return out
	}
	return quota.Rules{Person: rules(r.Person), RelyingParty: rules(r.RelyingParty), Source: rules(r.Source), All: rules(r.All)}
}

func (q quotasConfig) quotas() accounts.Quotas {
	standard := accounts.DefaultQuotas()
	return accounts.Quotas{Begin: q.Begin.or(standard.Begin), PIN: q.PIN.or(standard.PIN), Code: q.Code.or(standard.Code)}
}

// readServiceConfig reads a file. A member that is not known by exactly this name, or
// comes twice, is refused: a misspelled limit would be none.
func readServiceConfig(name string) (config serviceConfig, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return config, err
	}
	bad := func(err error) error {
		return &failure{Kind: "usage", exit: exitUsage, Message: fmt.Sprintf("%s: %v", name, err), Next: "docs/service.md has all members", cause: err}
	}
	if err := parseServiceConfig(text, &config); err != nil {
		return config, bad(err)
	}
	return config, nil
}

func parseServiceConfig(text []byte, config *serviceConfig) error {
	if err := decodeFile(text, config); err != nil {
		return err
	}
	if config.Production == nil {
		return errors.New(`say whether persons rely on this service: "production": true, or false for a trial`)
	}
	return nil
}

// decodeFile reads a file that persons write: each name as it is documented, and once.
func decodeFile(text []byte, to any) error {
	err := strictjson.Decode(text, to)
	var e *strictjson.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Pointer == "":
		return errors.New("it " + e.Problem)
	}
	return errors.New(e.Pointer + " " + e.Problem)
}

const (
	defaultListen  = "127.0.0.1:8080"
	defaultMetrics = "127.0.0.1:8081"
	off            = "off"
	defaultScheme  = "tandem"
	trialScheme    = "tandem-trial"

	defaultSessions = 8
	defaultStock    = 8
)

// fill sets what is absent, all paths from dir.
func (c *serviceConfig) fill(dir string) {
	set := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	set(&c.Listen, defaultListen)
	set(&c.Metrics, defaultMetrics)
	set(&c.Server, "server")
	set(&c.Database, "sqlite:accounts.db")
	set(&c.Secret, "accounts.key")
	set(&c.CA.Folder, "ca")
	if c.production() {
		set(&c.Scheme, defaultScheme)
	}
	set(&c.Scheme, trialScheme)
	if c.HSMSessions == 0 {
		c.HSMSessions = defaultSessions
	}
	paths := []*string{&c.Server, &c.Secret, &c.CA.Folder, &c.HSMPINFile, &c.CA.HSMPINFile}
	if c.TLS != nil {
		paths = append(paths, &c.TLS.Certificate, &c.TLS.Key)
	}
	if s := c.Notices.SMTP; s != nil {
		paths = append(paths, &s.PasswordFile)
	}
	if w := c.Notices.Webhook; w != nil {
		paths = append(paths, &w.SecretFile)
	}
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if file, ok := strings.CutPrefix(c.Database, sqlitePrefix); ok && !filepath.IsAbs(file) {
		c.Database = sqlitePrefix + filepath.Join(dir, file)
	}
}

const sqlitePrefix = "sqlite:"

func (c *serviceConfig) production() bool { return c.Production != nil && *c.Production }

func (c *serviceConfig) stock() int {
	if c.KeyStock == nil {
		return defaultStock
	}
	return *c.KeyStock
}

// check refuses what cannot be, before anything is opened.
func (c *serviceConfig) check() error {
	switch {
	case c.production() && c.TestIdentities != nil:
		return usagef("production has no test identities: they sign for whoever asks")
	case c.production() && c.Demo.Bank:
		return usagef("production has no bank: it is a demonstration")
	case c.production() && (c.URL == "" || c.CA.Profile == nil):
		return usagef(`production needs "url", and "profile" in "ca": what is in certificates`)
	case c.TLS != nil && (c.TLS.Certificate == "" || c.TLS.Key == ""):
		return usagef("TLS needs a certificate and a key")
	case c.TLS == nil && !onLoopback(c.Listen):
		return usagef("without TLS only a proxy on this machine is listened to: -listen 127.0.0.1:PORT, or give a certificate")
	case c.Metrics != off && !onLoopback(c.Metrics):
		return usagef("metrics are for this machine only: -metrics 127.0.0.1:PORT, or off")
	case c.HSMSessions < 1 || c.HSMSessions > 1000 || c.stock() < 0 || c.stock() > 1024:
		return usagef("hsm_sessions is 1 to 1000, key_stock 0 to 1024")
	}
	return nil
}

// onLoopback reports whether an address to listen on is one that only this machine
// reaches.
func onLoopback(address string) bool {
	at, err := netip.ParseAddrPort(address)
	return err == nil && at.Addr().IsLoopback()
}

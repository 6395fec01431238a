package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-rsa/tandem/protocol/server"
	"github.com/tandem-rsa/tandem/service/accounts"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/database"
	"github.com/tandem-rsa/tandem/service/notices"
	"github.com/tandem-rsa/tandem/service/push"
)

var (
	// ErrConfig is wrapped by the errors of [Open] for a configuration that cannot work.
	ErrConfig = errors.New("node: unusable configuration")
	// ErrProduction is wrapped by those for what has no place in production, or in a
	// trial. It wraps ErrConfig.
	ErrProduction = fmt.Errorf("%w: production", ErrConfig)
)

// Config is what [Open] makes a Node of. What has no other remark is required.
type Config struct {
	// Production says that persons rely on this node.
	Production bool

	DB *database.DB
	// Server is the configuration of the protocol's server. Signed, Admit and Observer
	// are Open's to set. Audit gets each event after the accounts have it.
	Server server.Config
	// Secret keeps codes, see accounts.Config.
	Secret []byte `json:"-"`

	// Issuing has the CA that issues, and after it those that did before. CAURL is where
	// strangers reach "/pki" of this node.
	Issuing []ca.Issuing
	Profile ca.Profile
	CAURL   string

	// Scheme, LinkBase and QualifiedDevice: see transactions.Config.
	Scheme, LinkBase string
	QualifiedDevice  bool

	// Senders take notices to persons; there may be none.
	Senders map[string]notices.Sender
	Quotas  accounts.Quotas

	// TrustedProxies and RequestIDHeader: see rphttp.Options. They may be empty.
	TrustedProxies  []netip.Prefix
	RequestIDHeader string

	// TestIdentities, if not nil, has persons who answer by themselves.
	TestIdentities *TestIdentities

	// Push has what wakes phones, by kinds: see push.Config. The one of push.KindWeb
	// has a method PublicKey, as [*push.Web] has, for what browsers subscribe for.
	// There may be none.
	Push map[string]push.Sender

	// Pages, if not nil, are for browsers.
	Pages *Pages

	// Metrics, if not nil, gets the node's metrics.
	Metrics prometheus.Registerer
	Log     *slog.Logger // slog.Default() if nil
}

// Format hides the secrets.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "node.Config") }

// TestIdentities says where test persons' phones are, and which hosts' callback URLs are
// called for them: see package testidentities.
type TestIdentities struct {
	Folder        string
	CallbackHosts []string
}

// testName begins the names of CAs that nobody relies on.
const testName = "TEST"

func (c *Config) check() error {
	switch {
	case c.DB == nil || c.Scheme == "" || c.LinkBase == "" || c.CAURL == "" || len(c.Issuing) == 0:
		return fmt.Errorf("%w: a part is missing", ErrConfig)
	case c.Server.Signed != nil || c.Server.Admit != nil || c.Server.Observer != nil:
		return fmt.Errorf("%w: Signed, Admit and Observer of the server are set by Open", ErrConfig)
	case c.Production && c.TestIdentities != nil:
		return fmt.Errorf("%w: test identities sign for whoever asks: they are for trials only", ErrProduction)
	case c.Production && c.Pages != nil && c.Pages.Bank:
		return fmt.Errorf("%w: the bank is a demonstration, for trials only", ErrProduction)
	}
	for _, i := range c.Issuing {
		if i.Certificate == nil {
			return fmt.Errorf("%w: an issuing CA without a certificate", ErrConfig)
		}
		name := i.Certificate.Subject.CommonName
		switch test := strings.HasPrefix(name, testName); {
		case c.Production && test:
			return fmt.Errorf("%w: the issuing CA %q is one for tests", ErrProduction, name)
		case !c.Production && !test:
			return fmt.Errorf("%w: the issuing CA %q is a real one, and this is a trial: the name of one for tests begins with %q", ErrProduction, name, testName)
		}
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return nil
}

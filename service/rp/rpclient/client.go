package rpclient

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/internal/secret"
	"github.com/tandem-rsa/tandem/service/ca"
	"github.com/tandem-rsa/tandem/service/rp"
)

var (
	// ErrConfig is wrapped by the errors of [New], and by those of arguments with which
	// no request can be made.
	ErrConfig = errors.New("rpclient: unusable configuration or argument")
	// ErrInvalid is wrapped by errors for answers that do not prove what they say: the
	// text names the check that failed.
	ErrInvalid = errors.New("rpclient: the answer proves nothing")
)

// Config is what [New] makes a Client of. What has no other remark is required.
type Config struct {
	// URL is what stands before "/v3", such as "https://id.example/smart-id-rp".
	URL  string
	HTTP *http.Client // nil is one that waits for two minutes
	// UUID and Name are the relying party's, as the operator has registered them.
	UUID, Name string
	// Token is sent as a bearer token, unless it is empty.
	Token string `json:"-"`
	// Scheme is the service's schemeName.
	Scheme string

	// Roots are the CAs that are believed; Intermediates those between them and persons.
	Roots, Intermediates *x509.CertPool
	// Profile says which policies and uses certificates have at each level.
	Profile ca.Profile
	// Revoked, if not nil, returns an error for a certificate that is revoked, or of
	// which it does not learn whether it is. [OCSP] is one.
	Revoked func(ctx context.Context, certificate, issuer *x509.Certificate) error

	Clock func() time.Time // time.Now if nil
}

// Format hides the token.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "rpclient.Config(%s)", c.URL) }

// Client is a relying party. It is safe for concurrent use.
type Client struct {
	config Config
	http   http.Client
	token  secret.Bytes
}

// defaultTimeout is longer than any wait for a session.
const defaultTimeout = 2 * time.Minute

// New returns a Client. It calls nobody. The error wraps ErrConfig.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%w: URL", ErrConfig)
	case c.UUID == "" || c.Name == "" || c.Scheme == "":
		return nil, fmt.Errorf("%w: no UUID, no name or no scheme", ErrConfig)
	case c.Roots == nil:
		return nil, fmt.Errorf("%w: no CAs to believe", ErrConfig)
	}
	for _, e := range []ca.Extensions{c.Profile.AuthenticationQualified, c.Profile.AuthenticationAdvanced, c.Profile.SignatureQualified, c.Profile.SignatureAdvanced} {
		if len(e.Policies) == 0 {
			return nil, fmt.Errorf("%w: a profile without policies", ErrConfig)
		}
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	out := &Client{config: c, token: secret.Copy([]byte(c.Token))}
	out.config.Token = ""
	out.http.Timeout = defaultTimeout
	if c.HTTP != nil {
		out.http = *c.HTTP
	}
	out.http.Jar = nil
	out.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return out, nil
}

// Format hides the token.
func (c Client) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "rpclient.Client(%s)", c.config.URL) }

func (c *Client) ready(ctx context.Context) error {
	if c == nil || c.config.Clock == nil || ctx == nil {
		return fmt.Errorf("%w: not made by New, or no context", ErrConfig)
	}
	return nil
}

// Error is an answer of the service in place of what was asked for.
type Error struct {
	Status     int
	Detail     string
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	if e == nil {
		return "rpclient: nil Error"
	}
	return fmt.Sprintf("rpclient: status %d: %s", e.Status, e.Detail)
}

// NoAccount reports whether an error says that the person has no account that fits, or
// that it cannot be used now: these must not be told apart to strangers.
func NoAccount(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// EndError says how a session ended without success.
type EndError struct {
	End rp.End
	// Interaction is the screen of a refusal; it may be empty.
	Interaction rp.InteractionType
}

func (e *EndError) Error() string {
	if e == nil {
		return "rpclient: nil EndError"
	}
	return "rpclient: the session ended with " + e.End.String()
}

// maxAnswer is the most bytes of an answer.
const maxAnswer = 1 << 20

// call makes one request; in is nil for a GET.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(c.config.URL, "/")+"/v3/"+path, body)
	if err != nil {
		return err
	}
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token := c.token.Get(); len(token) > 0 {
		r.Header.Set("Authorization", "Bearer "+string(token))
	}
	response, err := c.http.Do(r)
	if err != nil {
		// Without the address, which names the person.
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		return fmt.Errorf("rpclient: no answer: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		var problem struct{ Detail string }
		if err := json.Unmarshal(text, &problem); err != nil {
			problem.Detail = "no answer of the service"
		}
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			seconds = 0
		}
		return &Error{response.StatusCode, problem.Detail, time.Duration(min(max(seconds, 0), 3600)) * time.Second}
	case len(text) > maxAnswer:
		return invalid("its length")
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func invalid(check string) error { return fmt.Errorf("%w: %s", ErrInvalid, check) }

// request is what all requests have.
type request struct {
	RelyingPartyUUID string `json:"relyingPartyUUID"`
	RelyingPartyName string `json:"relyingPartyName"`
	CertificateLevel string `json:"certificateLevel,omitempty"`

	SignatureProtocol           string      `json:"signatureProtocol,omitempty"`
	SignatureProtocolParameters *parameters `json:"signatureProtocolParameters,omitempty"`
	Interactions                string      `json:"interactions,omitempty"`
	InitialCallbackURL          string      `json:"initialCallbackUrl,omitempty"`
	VCType                      string      `json:"vcType,omitempty"`
	Nonce                       string      `json:"nonce,omitempty"`
}

type parameters struct {
	Challenge          string         `json:"rpChallenge,omitempty"`
	Digest             string         `json:"digest,omitempty"`
	SignatureAlgorithm string         `json:"signatureAlgorithm"`
	Parameters         *hashParameter `json:"signatureAlgorithmParameters,omitempty"`
}

type hashParameter struct {
	HashAlgorithm string `json:"hashAlgorithm"`
}

func (p *parameters) algorithm(a rp.Algorithm) error {
	p.SignatureAlgorithm = a.Name()
	if p.SignatureAlgorithm == "" || !a.Hash.Available() {
		return fmt.Errorf("%w: the algorithm", ErrConfig)
	}
	if pss := a.Parameters(); pss != nil {
		p.Parameters = &hashParameter{pss.HashAlgorithm}
	}
	return nil
}

// answer is the status of a session.
type answer struct {
	State  string
	Result struct {
		EndResult      string
		DocumentNumber string
		Details        struct{ Interaction rp.InteractionType }
	}
	SignatureProtocol string
	Signature         struct {
		Value, ServerRandom, UserChallenge string
		FlowType                           rp.FlowType
		SignatureAlgorithm                 string
		SignatureAlgorithmParameters       *rp.PSSParameters
	}
	Cert                struct{ Value, CertificateLevel string }
	InteractionTypeUsed rp.InteractionType
}

// ends are the end results by their names.
var ends = func() map[string]rp.End {
	out := map[string]rp.End{}
	for e := rp.OK; e.String() != ""; e++ {
		out[e.String()] = e
	}
	return out
}()

// status asks for a session; nil is one that is running.
func (c *Client) status(ctx context.Context, session string, wait time.Duration) (*answer, error) {
	if session == "" {
		return nil, fmt.Errorf("%w: no session", ErrConfig)
	}
	var a answer
	path := "session/" + url.PathEscape(session) + "?timeoutMs=" + strconv.FormatInt(wait.Milliseconds(), 10)
	if err := c.call(ctx, http.MethodGet, path, nil, &a); err != nil {
		return nil, err
	}
	if a.State == "RUNNING" {
		return nil, nil
	}
	end, known := ends[a.Result.EndResult]
	switch {
	case a.State != "COMPLETE" || !known:
		return nil, invalid("state and end result")
	case end != rp.OK:
		return nil, &EndError{end, a.Result.Details.Interaction}
	}
	return &a, nil
}

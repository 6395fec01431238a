package accounts

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tandem-rsa/tandem/service/rp"
)

// RelyingParty is an e-service that may ask for logins and signatures. Only what is set
// is asked of its requests, but for Networks: without any, no request is its.
type RelyingParty struct {
	UUID     string         `json:"uuid"`     // in lower case
	Names    []string       `json:"names"`    // what it may call itself, in any case of letters; at least one
	Networks []netip.Prefix `json:"networks"` // where its requests come from
	// TokenHash is SHA-256 of the bearer token that its requests must have; zero: none.
	TokenHash Hash `json:"token_hash,omitzero"`
	// CertificatePin is SHA-256 of the public key (SubjectPublicKeyInfo) of the
	// certificate that its connections must show; zero: none.
	CertificatePin Hash `json:"certificate_pin,omitzero"`

	Advanced     bool     `json:"advanced,omitempty"`     // may accept accounts that are not qualified
	ShareIP      bool     `json:"share_ip,omitempty"`     // may learn the address of the phone
	Capabilities []string `json:"capabilities,omitempty"` // by agreement
	Disabled     bool     `json:"disabled,omitempty"`     // for now
}

// Hash is a SHA-256 hash, in hexadecimal digits as text.
type Hash [sha256.Size]byte

// MarshalText writes 64 hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if h == nil || err != nil || len(b) != len(h) {
		return fmt.Errorf("%w: a hash has 64 hexadecimal digits", ErrRequest)
	}
	copy(h[:], b)
	return nil
}

// maxName is how long a relying party's name may be, in bytes of UTF-8.
const maxName = 32

// Check refuses a RelyingParty that nobody could be. The error wraps ErrRequest.
func (r RelyingParty) Check() error {
	if u, ok := rp.UUID(r.UUID); !ok || u != r.UUID {
		return fmt.Errorf("%w: the UUID %q", ErrRequest, r.UUID)
	}
	if len(r.Names) == 0 {
		return fmt.Errorf("%w: a relying party without a name", ErrRequest)
	}
	for _, name := range r.Names {
		if name == "" || len(name) > maxName || rp.DisplayProblem(name, maxName) != "" {
			return fmt.Errorf("%w: the name %q", ErrRequest, name)
		}
	}
	for _, n := range r.Networks {
		if !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() {
			return fmt.Errorf("%w: the network %v", ErrRequest, n)
		}
	}
	for _, c := range r.Capabilities {
		if c == "" || rp.DisplayProblem(c, 100) != "" {
			return fmt.Errorf("%w: the capability %q", ErrRequest, c)
		}
	}
	return nil
}

// Named reports whether it may call itself so.
func (r RelyingParty) Named(name string) bool {
	return slices.ContainsFunc(r.Names, func(n string) bool { return strings.EqualFold(n, name) })
}

// Sent reports whether a request is from it, by all that it has set.
func (r RelyingParty) Sent(s rp.Source) bool {
	address := s.Address.Unmap()
	if r.Disabled || !slices.ContainsFunc(r.Networks, func(n netip.Prefix) bool { return n.Contains(address) }) {
		return false
	}
	if r.TokenHash != (Hash{}) && subtle.ConstantTimeCompare(r.TokenHash[:], s.TokenHash[:]) != 1 {
		return false
	}
	return r.CertificatePin == (Hash{}) || s.Certificate != nil && r.CertificatePin == Pin(s.Certificate)
}

// Pin returns the CertificatePin of a certificate.
func Pin(c *x509.Certificate) Hash {
	if c == nil {
		return Hash{}
	}
	return sha256.Sum256(c.RawSubjectPublicKeyInfo)
}

// RelyingParty returns a relying party. The error is ErrNotFound.
func (a *Accounts) RelyingParty(ctx context.Context, uuid string) (r RelyingParty, err error) {
	if err := a.ready(ctx); err != nil {
		return RelyingParty{}, err
	}
	settings, found, err := a.db.Text(ctx, "SELECT settings FROM relying_parties WHERE uuid = $1", uuid)
	if err != nil {
		return RelyingParty{}, err
	}
	if !found {
		return RelyingParty{}, ErrNotFound
	}
	if r, err = a.parties.Parse(settings, parseRelyingParty); err != nil {
		return RelyingParty{}, err
	}
	r.Names, r.Networks, r.Capabilities = slices.Clone(r.Names), slices.Clone(r.Networks), slices.Clone(r.Capabilities)
	return r, nil
}

func parseRelyingParty(settings string) (r RelyingParty, err error) {
	if err := json.Unmarshal([]byte(settings), &r); err != nil {
		return RelyingParty{}, fmt.Errorf("accounts: damaged relying party: %w", err)
	}
	return r, nil
}

// RelyingParties returns all of them, in the order of their UUIDs.
func (a *Accounts) RelyingParties(ctx context.Context) (out []RelyingParty, err error) {
	if err := a.ready(ctx); err != nil {
		return nil, err
	}
	err = a.db.Read(ctx, func(tx *sql.Tx) error {
		out = nil
		rows, err := tx.QueryContext(ctx, "SELECT settings FROM relying_parties ORDER BY uuid")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var settings string
			if err := rows.Scan(&settings); err != nil {
				return err
			}
			r, err := parseRelyingParty(settings)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	return out, err
}

// SetRelyingParty adds a relying party, or changes the one with its UUID.
func (a *Accounts) SetRelyingParty(ctx context.Context, r RelyingParty) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return err
	}
	settings, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = a.db.Exec(ctx, `INSERT INTO relying_parties (uuid, settings, created) VALUES ($1, $2, $3)
ON CONFLICT (uuid) DO UPDATE SET settings = excluded.settings`, r.UUID, string(settings), millis(a.now()))
	return err
}

// DeleteRelyingParty deletes a relying party. The error is ErrNotFound if there is none.
func (a *Accounts) DeleteRelyingParty(ctx context.Context, uuid string) error {
	if err := a.ready(ctx); err != nil {
		return err
	}
	rows, err := a.db.Exec(ctx, "DELETE FROM relying_parties WHERE uuid = $1", uuid)
	if err == nil && rows == 0 {
		return ErrNotFound
	}
	return err
}

package hsm

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"

	"github.com/tandem-rsa/tandem/splitkey"
)

// Exchanger is an X25519 key (RFC 7748) in the token. It is an
// ecdh.KeyExchanger: crypto/hpke's NewHybridPrivateKey makes an HPKE key of it
// and an ML-KEM key in memory, which then opens nothing without the token. It
// is safe for concurrent use.
type Exchanger struct {
	t   *Token
	obj *object
	pub *ecdh.PublicKey
	// lowOrder is any key: it finds points of low order.
	lowOrder *ecdh.PrivateKey
}

var _ ecdh.KeyExchanger = (*Exchanger)(nil)

// exchangeWay is how a module calls X25519.
type exchangeWay struct {
	name     string
	generate uint   // mechanism
	curve    []byte // CKA_EC_PARAMS
	keyType  uint
	wrapped  bool // C_DeriveKey wants the public key as a DER OCTET STRING
}

// CKK_EC_MONTGOMERY and its mechanism are of PKCS #11 3.0, as are the Edwards
// ones, which SoftHSM uses for X25519 as well. NSS has an object identifier of
// its own for Curve25519.
const (
	ckmMontgomeryKeyPairGen = 0x1056
	ckmEdwardsKeyPairGen    = 0x1055
	ckkMontgomery           = 0x41
	ckkEdwards              = 0x40
)

var (
	// 1.3.101.110, RFC 8410
	oidX25519 = []byte{0x06, 0x03, 0x2b, 0x65, 0x6e}
	// 1.3.6.1.4.1.11591.15.1
	oidCurve25519 = []byte{0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01}
)

var exchangeWays = []exchangeWay{
	{"EC-MONTGOMERY", ckmMontgomeryKeyPairGen, oidX25519, ckkMontgomery, false},
	{"EC-MONTGOMERY DER", ckmMontgomeryKeyPairGen, oidX25519, ckkMontgomery, true},
	{"EC-EDWARDS", ckmEdwardsKeyPairGen, oidX25519, ckkEdwards, false},
	{"EC-EDWARDS DER", ckmEdwardsKeyPairGen, oidX25519, ckkEdwards, true},
	{"EC", pkcs11.CKM_EC_KEY_PAIR_GEN, oidCurve25519, pkcs11.CKK_EC, false},
	{"EC DER", pkcs11.CKM_EC_KEY_PAIR_GEN, oidCurve25519, pkcs11.CKK_EC, true},
}

// exchangeAllowed refuses X25519 in FIPS 140-only mode, where crypto/ecdh reads no such
// key.
func exchangeAllowed() error {
	if fips140.Enforced() {
		return splitkey.ErrFIPS
	}
	return nil
}

func (t *Token) exchangeWay() (exchangeWay, error) {
	if err := exchangeAllowed(); err != nil {
		return exchangeWay{}, fmt.Errorf("%w: X25519: %w", ErrUnsupported, err)
	}
	for _, w := range exchangeWays {
		if w.name == t.caps.Exchange {
			return w, nil
		}
	}
	return exchangeWay{}, fmt.Errorf("%w: X25519", ErrUnsupported)
}

// GenerateExchanger makes an X25519 key in the token, under a label that no
// other such key has.
//
// Errors: those of GenerateKey.
func (t *Token) GenerateExchanger(ctx context.Context, label string) (*Exchanger, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	way, err := t.exchangeWay()
	if err != nil {
		return nil, err
	}
	if label == "" {
		return nil, fmt.Errorf("%w: empty label", ErrInput)
	}
	id := make([]byte, 16)
	rand.Read(id)
	_, err = run(ctx, t, "generate X25519 key", func(s *session) (struct{}, error) {
		list, err := s.search(way.keys(pkcs11.CKO_PRIVATE_KEY, label), 2)
		if err != nil {
			return struct{}{}, err
		}
		for _, h := range list {
			// An earlier try of this call made it, and its answer was lost.
			if got, err := s.value(h, pkcs11.CKA_ID, 64); err == nil && bytes.Equal(got, id) {
				return struct{}{}, nil
			}
		}
		if len(list) > 0 {
			return struct{}{}, fmt.Errorf("%w: %q", ErrKeyExists, label)
		}
		_, priv, err := s.generateExchange(way, true, attrString(pkcs11.CKA_LABEL, label), attrBytes(pkcs11.CKA_ID, id))
		if err != nil {
			return struct{}{}, err
		}
		if err := s.checkExponent(priv, label); err != nil {
			return struct{}{}, s.discard(priv, err)
		}
		return struct{}{}, nil
	})
	if err != nil {
		return nil, err
	}
	return t.Exchanger(ctx, label)
}

// Exchanger returns the X25519 key with this label. It is used once, and the
// result compared, before it is returned.
//
// Errors: those of Key.
func (t *Token) Exchanger(ctx context.Context, label string) (*Exchanger, error) {
	if err := t.made(ctx); err != nil {
		return nil, err
	}
	way, err := t.exchangeWay()
	if err != nil {
		return nil, err
	}
	o := &object{name: fmt.Sprintf("X25519 key %q", label), template: way.keys(pkcs11.CKO_PRIVATE_KEY, label)}
	pub, err := run(ctx, t, "find X25519 key", func(s *session) (*ecdh.PublicKey, error) {
		h, err := s.find(o)
		if err != nil {
			return nil, err
		}
		if err := s.checkExponent(h, label); err != nil {
			return nil, err
		}
		public, err := s.mod.FindObjects(s.h, way.keys(pkcs11.CKO_PUBLIC_KEY, label), 2)
		if err != nil {
			return nil, err
		}
		if len(public) != 1 {
			return nil, fmt.Errorf("%w: public half of %s", ErrKeyNotFound, o.name)
		}
		return s.exchangePoint(public[0])
	})
	if err != nil {
		return nil, err
	}
	e := &Exchanger{t: t, obj: o, pub: pub}
	if e.lowOrder, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if err := e.prove(ctx); err != nil {
		return nil, err
	}
	return e, nil
}

// prove compares one result with the other side's.
func (e *Exchanger) prove(ctx context.Context) error {
	other, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	want, err := other.ECDH(e.pub)
	if err != nil {
		return err
	}
	got, err := e.exchange(ctx, other.PublicKey())
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return e.t.fault("X25519")
	}
	return nil
}

// PublicKey returns the public half.
func (e *Exchanger) PublicKey() *ecdh.PublicKey {
	if e == nil {
		return nil
	}
	return e.pub
}

// Curve returns X25519.
func (e *Exchanger) Curve() ecdh.Curve { return ecdh.X25519() }

// ECDH returns the secret shared with the owner of the other key: 32 bytes. It
// waits no longer than Config.CallTimeout.
//
// Errors: ErrInput for a key of another curve or of low order, and those of
// Sealer.Seal.
func (e *Exchanger) ECDH(other *ecdh.PublicKey) ([]byte, error) {
	if e == nil || e.t == nil {
		return nil, errNothing
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.t.cfg.CallTimeout)
	defer cancel()
	return e.exchange(ctx, other)
}

func (e *Exchanger) exchange(ctx context.Context, other *ecdh.PublicKey) ([]byte, error) {
	if other == nil || other.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("%w: not an X25519 key", ErrInput)
	}
	// A point of low order, which anybody can send, gives zero with every private
	// key (RFC 7748, section 6.1), and with some modules a CKR_GENERAL_ERROR that
	// looks like a sick token. So it is tried here first.
	if _, err := e.lowOrder.ECDH(other); err != nil {
		return nil, fmt.Errorf("%w: point of low order", ErrInput)
	}
	way, err := e.t.exchangeWay()
	if err != nil {
		return nil, err
	}
	point := other.Bytes()
	return run(ctx, e.t, "X25519", func(s *session) ([]byte, error) {
		h, err := s.find(e.obj)
		if err != nil {
			return nil, err
		}
		return s.exchange(way, h, point)
	})
}

func (w exchangeWay) keys(class uint, label string) []attribute {
	return []attribute{
		attrUint(pkcs11.CKA_CLASS, class),
		attrUint(pkcs11.CKA_KEY_TYPE, w.keyType),
		attrString(pkcs11.CKA_LABEL, label),
	}
}

func (s *session) generateExchange(w exchangeWay, token bool, names ...attribute) (pub, priv handle, err error) {
	public := append([]attribute{
		attrBool(pkcs11.CKA_TOKEN, token),
		attrBool(pkcs11.CKA_PRIVATE, false),
		attrBytes(pkcs11.CKA_EC_PARAMS, w.curve),
	}, names...)
	private := append([]attribute{
		attrBool(pkcs11.CKA_TOKEN, token),
		attrBool(pkcs11.CKA_PRIVATE, true),
		attrBool(pkcs11.CKA_SENSITIVE, true),
		attrBool(pkcs11.CKA_EXTRACTABLE, false),
		attrBool(pkcs11.CKA_DERIVE, true),
	}, names...)
	return s.madePair(s.mod.GenerateKeyPair(s.h, mechanism{kind: w.generate}, public, s.guarded(private)))
}

var errPoint = errors.New("not an X25519 point")

// exchangePoint reads a public key, which some modules wrap in an OCTET STRING.
func (s *session) exchangePoint(pub handle) (*ecdh.PublicKey, error) {
	point, err := s.value(pub, pkcs11.CKA_EC_POINT, 128)
	if err != nil {
		return nil, err
	}
	if len(point) == 34 && point[0] == 4 && point[1] == 32 {
		point = point[2:]
	}
	key, err := ecdh.X25519().NewPublicKey(point)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, errPoint)
	}
	return key, nil
}

// exchange is C_DeriveKey with CKM_ECDH1_DERIVE and no key derivation function.
func (s *session) exchange(w exchangeWay, key handle, point []byte) ([]byte, error) {
	if w.wrapped {
		point = append([]byte{4, byte(len(point))}, point...)
	}
	return s.derive(mechanism{kind: pkcs11.CKM_ECDH1_DERIVE, param: point}, key, 32)
}

// testExchange compares with this program's X25519.
func (s *session) testExchange(w exchangeWay) error {
	pub, priv, err := s.generateExchange(w, false)
	if err != nil {
		return err
	}
	point, err := s.exchangePoint(pub)
	if err != nil {
		return err
	}
	if err := s.checkExponent(priv, "test key"); err != nil {
		return err
	}
	for range 3 {
		other, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		want, err := other.ECDH(point)
		if err != nil {
			return err
		}
		got, err := s.exchange(w, priv, other.PublicKey().Bytes())
		if err != nil {
			return err
		}
		if subtle.ConstantTimeCompare(got, want) != 1 {
			return errWrong
		}
	}
	return nil
}

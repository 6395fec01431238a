package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
)

// What is found in a file with a key.
const (
	spkiKey      = "public key"
	pkcs1Public  = "PKCS #1 public key"
	certificate  = "certificate"
	pkcs8Private = "PKCS #8 private key"
	pkcs1Private = "PKCS #1 private key"
	jwk          = "JWK"
)

// found is one thing in a file with a key: kind is one of the above, or what else it is,
// in words.
type found struct {
	kind string
	der  []byte // or JSON
}

// pemKinds are the labels of PEM blocks, of RFC 7468 and others.
var pemKinds = map[string]string{
	"PUBLIC KEY": spkiKey, "RSA PUBLIC KEY": pkcs1Public,
	"CERTIFICATE": certificate, "X509 CERTIFICATE": certificate, "TRUSTED CERTIFICATE": "trusted certificate of OpenSSL",
	"PRIVATE KEY": pkcs8Private, "RSA PRIVATE KEY": pkcs1Private, "ENCRYPTED PRIVATE KEY": encryptedKey,
	"OPENSSH PRIVATE KEY": "private key of OpenSSH", "EC PRIVATE KEY": "EC private key", "DSA PRIVATE KEY": "DSA private key",
	"CERTIFICATE REQUEST": "certificate request", "NEW CERTIFICATE REQUEST": "certificate request",
	"X509 CRL": "list of revoked certificates", "PKCS7": "PKCS #7 message", "CMS": "CMS message",
	"SSH2 PUBLIC KEY": "public key of SSH",
	hpkeKeyType:       "HPKE key of tandem, which signs nothing",
}

const encryptedKey = "encrypted private key"

// identify says what a file with a key holds: PEM, DER or JSON. The slices are parts of
// text, or copies: the caller clears both if they are secret.
func identify(text []byte) []found {
	text = plainText(text)
	trimmed := bytes.TrimSpace(text)
	switch {
	case len(trimmed) == 0:
		return nil
	case trimmed[0] == '{':
		return []found{{jwk, trimmed}}
	case bytes.HasPrefix(trimmed, []byte("ssh-")), bytes.HasPrefix(trimmed, []byte("ecdsa-sha2-")):
		return []found{{"public key of SSH", nil}}
	case text[0] == 0x30: // a DER SEQUENCE
		if kind := derKind(text); kind != "" {
			return []found{{kind, text}}
		}
	}
	var all []found
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		kind := pemKinds[block.Type]
		switch {
		case block.Type == "EC PARAMETERS" || block.Type == "DH PARAMETERS":
			continue
		case strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			kind = encryptedKey
		case kind == "":
			kind = fmt.Sprintf("PEM block %q", block.Type)
		}
		all = append(all, found{kind, block.Bytes})
	}
	switch {
	case len(all) > 0:
	case bytes.Contains(text, []byte("-----BEGIN PGP")): // its checksum is no PEM
		all = []found{{"OpenPGP key", nil}}
	case bytes.Contains(text, []byte("-----BEGIN ")):
		all = []found{{"PEM block that is damaged or cut off", nil}}
	}
	return all
}

// plainText drops a byte order mark, and makes bytes of the UTF-16 that PowerShell
// writes.
func plainText(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte{0xef, 0xbb, 0xbf}):
		return text[3:]
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return text
	}
	units := make([]uint16, (len(text)-2)/2)
	for i := range units {
		units[i] = order.Uint16(text[2+2*i:])
	}
	defer clear(units)
	runes := utf16.Decode(units)
	defer clear(runes)
	plain := make([]byte, len(runes))
	for i, r := range runes {
		if plain[i] = byte(r); r > 0x7f {
			plain[i] = '?' // no key has such a character
		}
	}
	return plain
}

// derKind tells the structures of DER apart by the types of their first elements.
func derKind(der []byte) string {
	var elements []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &elements); err != nil || len(rest) > 0 {
		return ""
	}
	shape := ""
	for _, e := range elements {
		switch {
		case e.Class != asn1.ClassUniversal:
			shape += "?"
		case e.Tag == asn1.TagInteger:
			shape += "i"
		case e.Tag == asn1.TagSequence:
			shape += "s"
		case e.Tag == asn1.TagBitString:
			shape += "b"
		case e.Tag == asn1.TagOctetString:
			shape += "o"
		default:
			shape += "?"
		}
	}
	switch {
	case shape == "sb":
		return spkiKey
	case shape == "ii":
		return pkcs1Public
	case shape == "ssb" && len(elements[0].Bytes) > 0 && elements[0].Bytes[0] == 0x02:
		return "certificate request"
	case shape == "ssb":
		return certificate
	case strings.HasPrefix(shape, "iso"):
		return pkcs8Private
	case strings.HasPrefix(shape, "iiiiii"):
		return pkcs1Private
	case shape == "so":
		return encryptedKey
	case strings.HasPrefix(shape, "io"):
		return "EC private key"
	case strings.HasPrefix(shape, "is"):
		return "PKCS #12 file"
	}
	return ""
}

// Object identifiers of RFC 8017, RFC 5480, RFC 8410 and DSA.
var (
	oidRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidPSS   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidMGF1  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidNames = map[string]string{
		"1.2.840.10045.2.1": "an EC key", "1.3.101.112": "an Ed25519 key", "1.3.101.113": "an Ed448 key",
		"1.2.840.10040.4.1": "a DSA key", "1.2.840.113549.1.1.7": "an RSA key for encryption (OAEP)",
	}
	oidHashes = map[string]string{
		"1.3.14.3.2.26": "sha1", "2.16.840.1.101.3.4.2.4": "sha224",
		"2.16.840.1.101.3.4.2.1": "sha256", "2.16.840.1.101.3.4.2.2": "sha384", "2.16.840.1.101.3.4.2.3": "sha512",
		"2.16.840.1.101.3.4.2.8": "sha3-256", "2.16.840.1.101.3.4.2.9": "sha3-384", "2.16.840.1.101.3.4.2.10": "sha3-512",
	}
)

// usage is what a key says that it may be used for.
type usage struct {
	pss  bool   // RSASSA-PSS only
	hash string // with this hash only; "" for any
}

// algorithm reads the AlgorithmIdentifier of an RSA key: RFC 4055.
func algorithm(id pkix.AlgorithmIdentifier) (usage, error) {
	switch {
	case id.Algorithm.Equal(oidRSA):
		return usage{}, nil
	case !id.Algorithm.Equal(oidPSS):
		if name := oidNames[id.Algorithm.String()]; name != "" {
			return usage{}, fmt.Errorf("it is %s, not an RSA key for signatures", name)
		}
		return usage{}, fmt.Errorf("its algorithm is %v, not RSA", id.Algorithm)
	case len(id.Parameters.FullBytes) == 0 || id.Parameters.Tag == asn1.TagNull:
		return usage{pss: true}, nil
	}
	// The shortest salt that is allowed, and a trailer field, are left aside.
	sha1 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}}
	var p struct {
		Hash    pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:0"`
		MGF     pkix.AlgorithmIdentifier `asn1:"explicit,optional,tag:1"`
		Salt    int                      `asn1:"explicit,optional,tag:2"`
		Trailer int                      `asn1:"explicit,optional,tag:3"`
	}
	if rest, err := asn1.Unmarshal(id.Parameters.FullBytes, &p); err != nil || len(rest) > 0 {
		return usage{}, errors.New("its parameters for RSASSA-PSS cannot be read")
	}
	if p.Hash.Algorithm == nil {
		p.Hash = sha1
	}
	mask := sha1
	if p.MGF.Algorithm != nil {
		if rest, err := asn1.Unmarshal(p.MGF.Parameters.FullBytes, &mask); err != nil || len(rest) > 0 || !p.MGF.Algorithm.Equal(oidMGF1) {
			return usage{}, errors.New("its mask generation function is not MGF1")
		}
	}
	name := oidHashes[p.Hash.Algorithm.String()]
	if name == "" {
		return usage{}, fmt.Errorf("it is for RSASSA-PSS with the hash function %v", p.Hash.Algorithm)
	}
	if !mask.Algorithm.Equal(p.Hash.Algorithm) {
		return usage{}, errors.New("it is for RSASSA-PSS with another hash function in MGF1 than for the file")
	}
	return usage{true, name}, nil
}

// allows reports why a signature of this kind is none of the key's.
func (u usage) allows(s *scheme) error {
	switch {
	case u.pss && !s.pss:
		return failf("bad_key", "add -pss", "the key is for RSASSA-PSS only")
	case u.hash != "" && u.hash != s.hash:
		return failf("bad_key", "a signature of this key has -hash "+u.hash, "the key is for %s only, not for %s", u.hash, s.hash)
	}
	return nil
}

// publicKey reads an RSA public key out of what was found.
func (f found) publicKey() (*rsa.PublicKey, usage, error) {
	der := f.der
	switch f.kind {
	case pkcs1Public:
		pub, err := x509.ParsePKCS1PublicKey(der)
		return pub, usage{}, err
	case certificate:
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, usage{}, err
		}
		der = cert.RawSubjectPublicKeyInfo
	case spkiKey:
	case jwk:
		k, err := parseJWK(der)
		if err != nil {
			return nil, usage{}, err
		}
		defer k.wipe()
		if k.d != nil {
			return nil, usage{}, errPrivate
		}
		return &rsa.PublicKey{N: k.n, E: k.e}, usage{}, nil
	case pkcs8Private, pkcs1Private, encryptedKey:
		return nil, usage{}, errPrivate
	default:
		return nil, usage{}, fmt.Errorf("it holds %s", article(f.kind))
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) > 0 {
		return nil, usage{}, errors.New("its SubjectPublicKeyInfo cannot be read")
	}
	use, err := algorithm(info.Algorithm)
	if err != nil {
		return nil, usage{}, err
	}
	pub, err := x509.ParsePKCS1PublicKey(info.Key.RightAlign())
	return pub, use, err
}

var errPrivate = errors.New("it holds a private key, and a public one is wanted")

// parsePublicKey reads the first RSA public key in a file: of a chain of certificates
// that is the signer's. Nothing else of a certificate is looked at.
func parsePublicKey(name string, text []byte) (*rsa.PublicKey, usage, error) {
	all := identify(text)
	var reason error
	for _, f := range all {
		pub, use, err := f.publicKey()
		if err == nil {
			return pub, use, nil
		}
		if reason == nil {
			reason = err
		}
	}
	next := "give a public key or a certificate, in PEM or DER; tandem pubkey writes one"
	switch {
	case len(all) == 0:
		reason = errors.New("it holds no key: neither PEM, nor DER, nor JWK")
	case errors.Is(reason, errPrivate):
		next = "openssl pkey -in " + quote(name) + " -pubout makes the public key of it"
	}
	return nil, usage{}, failf("bad_key", next, "%s: %w", display(name), reason)
}

// article puts "a" or "an" before a noun.
func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiouEHO") { // an EC key, an HPKE key, an OpenPGP key
		return "an " + noun
	}
	return "a " + noun
}

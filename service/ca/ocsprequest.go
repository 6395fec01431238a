package ca

import (
	"crypto/fips140"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// What one OCSP request may ask for. That of OpenSSL for one certificate has about 120
// bytes.
const (
	maxOCSPRequest = 4096
	maxCertIDs     = 16
	maxNonce       = 128 // RFC 9654, section 2.1
)

var (
	oidSHA1   = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidNonce  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}

	errMalformedOCSP = errors.New("ca: malformed OCSP request")
)

// ocspRequest is an OCSPRequest of RFC 6960, section 4.1.1. A signature is not looked at:
// everybody may ask.
type ocspRequest struct {
	ids []certID
	// nonce is the value of the nonce extension as it came; nil if there is none.
	nonce []byte
}

// certID names a certificate by its issuer and its serial number.
type certID struct {
	raw    []byte // in DER, to be repeated in the answer
	hash   int    // 0: SHA-1, 1: SHA-256, -1: another
	name   []byte
	key    []byte
	serial *big.Int
}

// hashes returns how a certificate's name and key are called in a certID: by SHA-1 and
// SHA-256. SHA-1 is a name here and protects nothing, so that FIPS 140-3 need not allow
// it.
func hashes(c *x509.Certificate) (names, keys [2][]byte) {
	bits, err := bitsOf(c.RawSubjectPublicKeyInfo)
	if err != nil {
		panic(err) // a certificate that was parsed has a key that parses
	}
	for i, b := range [][]byte{c.RawSubject, bits} {
		var old [sha1.Size]byte
		fips140.WithoutEnforcement(func() { old = sha1.Sum(b) })
		long := sha256.Sum256(b)
		[]*[2][]byte{&names, &keys}[i][0] = old[:]
		[]*[2][]byte{&names, &keys}[i][1] = long[:]
	}
	return names, keys
}

func contextTag(n uint8) cryptobyteasn1.Tag {
	return cryptobyteasn1.Tag(n).Constructed().ContextSpecific()
}

// parseOCSPRequest reads DER. The error is errMalformedOCSP.
func parseOCSPRequest(der []byte) (*ocspRequest, error) {
	r := &ocspRequest{}
	if len(der) > maxOCSPRequest || !r.parse(der) {
		return nil, errMalformedOCSP
	}
	return r, nil
}

func (r *ocspRequest) parse(der []byte) bool {
	input := cryptobyte.String(der)
	var request, tbs, list, extensions cryptobyte.String
	if !input.ReadASN1(&request, cryptobyteasn1.SEQUENCE) || !input.Empty() || !request.ReadASN1(&tbs, cryptobyteasn1.SEQUENCE) {
		return false
	}
	if !request.SkipOptionalASN1(contextTag(0)) || !request.Empty() { // optionalSignature
		return false
	}
	// version v1 is the default, which some write nevertheless.
	var version int64
	if !tbs.ReadOptionalASN1Integer(&version, contextTag(0), int64(0)) || version != 0 {
		return false
	}
	if !tbs.SkipOptionalASN1(contextTag(1)) || !tbs.ReadASN1(&list, cryptobyteasn1.SEQUENCE) { // requestorName
		return false
	}
	var some bool
	if !tbs.ReadOptionalASN1(&extensions, &some, contextTag(2)) || !tbs.Empty() {
		return false
	}
	for !list.Empty() {
		id, ok := readRequest(&list)
		if !ok || len(r.ids) == maxCertIDs {
			return false
		}
		r.ids = append(r.ids, id)
	}
	if len(r.ids) == 0 {
		return false
	}
	return !some || readExtensions(extensions, func(oid asn1.ObjectIdentifier, value []byte) bool {
		if !oid.Equal(oidNonce) || r.nonce != nil || !acceptableNonce(value) {
			return false
		}
		r.nonce = value
		return true
	})
}

// readRequest reads one Request: a CertID, and extensions, none of which means anything
// here.
func readRequest(list *cryptobyte.String) (id certID, ok bool) {
	var request, raw, content, algorithm, extensions cryptobyte.String
	var oid asn1.ObjectIdentifier
	var some bool
	if !list.ReadASN1(&request, cryptobyteasn1.SEQUENCE) || !request.ReadASN1Element(&raw, cryptobyteasn1.SEQUENCE) ||
		!request.ReadOptionalASN1(&extensions, &some, contextTag(0)) || !request.Empty() {
		return certID{}, false
	}
	if some && !readExtensions(extensions, func(asn1.ObjectIdentifier, []byte) bool { return false }) {
		return certID{}, false
	}
	id.raw, id.serial = raw, new(big.Int)
	if !raw.ReadASN1(&content, cryptobyteasn1.SEQUENCE) || !content.ReadASN1(&algorithm, cryptobyteasn1.SEQUENCE) ||
		!algorithm.ReadASN1ObjectIdentifier(&oid) || !algorithm.SkipOptionalASN1(cryptobyteasn1.NULL) || !algorithm.Empty() {
		return certID{}, false
	}
	if !content.ReadASN1Bytes(&id.name, cryptobyteasn1.OCTET_STRING) || !content.ReadASN1Bytes(&id.key, cryptobyteasn1.OCTET_STRING) ||
		!content.ReadASN1Integer(id.serial) || !content.Empty() {
		return certID{}, false
	}
	switch {
	case oid.Equal(oidSHA1):
		id.hash = 0
	case oid.Equal(oidSHA256):
		id.hash = 1
	default:
		id.hash = -1
	}
	return id, true
}

// readExtensions calls known for each extension of an Extensions. If known returns false,
// the extension is ignored, unless it is critical or a nonce.
func readExtensions(in cryptobyte.String, known func(oid asn1.ObjectIdentifier, value []byte) bool) bool {
	var list cryptobyte.String
	if !in.ReadASN1(&list, cryptobyteasn1.SEQUENCE) || !in.Empty() || list.Empty() {
		return false
	}
	for !list.Empty() {
		var x, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		critical := false
		if !list.ReadASN1(&x, cryptobyteasn1.SEQUENCE) || !x.ReadASN1ObjectIdentifier(&oid) {
			return false
		}
		if x.PeekASN1Tag(cryptobyteasn1.BOOLEAN) && !x.ReadASN1Boolean(&critical) {
			return false
		}
		if !x.ReadASN1(&value, cryptobyteasn1.OCTET_STRING) || !x.Empty() {
			return false
		}
		if !known(oid, value) && (critical || oid.Equal(oidNonce)) {
			return false
		}
	}
	return true
}

// acceptableNonce takes an OCTET STRING of 1 to 128 bytes (RFC 9654), and as many bytes
// that are none, which some clients send and expect back.
func acceptableNonce(value []byte) bool {
	in := cryptobyte.String(value)
	var content cryptobyte.String
	if in.ReadASN1(&content, cryptobyteasn1.OCTET_STRING) && in.Empty() {
		return len(content) >= 1 && len(content) <= maxNonce
	}
	return len(value) >= 1 && len(value) <= maxNonce
}

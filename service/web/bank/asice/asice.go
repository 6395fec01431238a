// Package asice makes ASiC-E containers of one file with one signature, for the bank that
// shows how an e-service does it: ETSI EN 319 162-1, with a signature of XAdES level B-B,
// ETSI EN 319 132-1, RSA with SHA-256. It has no timestamp and no OCSP answer: an
// e-service adds these before certificates expire (levels T and LT).
//
//	draft, err := asice.New("contract.txt", "text/plain", content, certificate, now)
//	draft.Digest()                        // what the phone signs
//	container, err := draft.Finish(signature)
//
// # Canonical XML
//
// What is signed is canonical XML (version 1.1, inclusive) of two elements. They are
// written in this form from the start, so that nothing has to be transformed: no white
// space between tags, attributes in double quotes, no empty-element tags. Only the
// namespaces, which the root declares, are added to the start tag for the digest.
package asice

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MimeType is that of a container.
const MimeType = "application/vnd.etsi.asic-e+zip"

// MaxFile is the most bytes of the file that is signed.
const MaxFile = 1 << 20

var (
	// ErrFile is wrapped by errors for a file that is not signed: its name, its length.
	ErrFile = errors.New("asice: unacceptable file")
	// ErrSignature is returned for a signature that is not of the certificate's key over
	// the digest.
	ErrSignature = errors.New("asice: the signature does not verify")
	// ErrContainer is wrapped by the errors of [Open] for what is not a container of this
	// package.
	ErrContainer = errors.New("asice: not a container of this kind")
)

// Draft is a container without its signature. It has fields for encoding/json.
type Draft struct {
	Name        string
	Type        string // the file's, such as "text/plain"
	Content     []byte
	Certificate []byte // DER
	Time        time.Time
}

// New returns a draft for a signature with the key of a certificate. The error wraps
// ErrFile.
func New(name, kind string, content []byte, certificate *x509.Certificate, at time.Time) (*Draft, error) {
	if certificate == nil {
		return nil, fmt.Errorf("%w: no certificate", ErrFile)
	}
	d := &Draft{Name: name, Type: kind, Content: content, Certificate: certificate.Raw, Time: at.UTC().Truncate(time.Second)}
	return d, d.check()
}

const maxName = 100

func (d *Draft) check() error {
	switch {
	case d == nil:
		return fmt.Errorf("%w: none", ErrFile)
	case d.Name == "" || !utf8.ValidString(d.Name) || utf8.RuneCountInString(d.Name) > maxName:
		return fmt.Errorf("%w: its name has 1 to %d characters", ErrFile, maxName)
	case strings.ContainsFunc(d.Name, func(r rune) bool {
		return !unicode.IsPrint(r) || strings.ContainsRune(`/\:*?"<>|`, r) || unicode.Is(unicode.Bidi_Control, r)
	}):
		return fmt.Errorf("%w: its name has a character that file systems do not take", ErrFile)
	case strings.EqualFold(d.Name, "mimetype") || strings.EqualFold(d.Name, "META-INF") || strings.HasPrefix(d.Name, ".") || strings.TrimSpace(d.Name) != d.Name:
		return fmt.Errorf("%w: its name", ErrFile)
	case len(d.Content) == 0 || len(d.Content) > MaxFile:
		return fmt.Errorf("%w: it has 1 to %d bytes", ErrFile, MaxFile)
	}
	kind, parameters, err := mime.ParseMediaType(d.Type)
	if err != nil || len(parameters) > 0 || kind != d.Type || strings.Count(kind, "/") != 1 || strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz0123456789/.+-") != "" {
		return fmt.Errorf("%w: its type", ErrFile)
	}
	return nil
}

const (
	namespaces = ` xmlns:asic="http://uri.etsi.org/02918/v1.2.1#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xades="http://uri.etsi.org/01903/v1.3.2#"`
	c14n       = "http://www.w3.org/2006/12/xml-c14n11"
	sha256URI  = "http://www.w3.org/2001/04/xmlenc#sha256"
	rsaSHA256  = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	header     = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
)

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// attribute is a text in an attribute, in canonical form: check has refused the rest of
// what would be escaped.
func attribute(s string) string { return strings.ReplaceAll(escaper.Replace(s), "&gt;", ">") }

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func digested(value string) string {
	return `<ds:DigestMethod Algorithm="` + sha256URI + `"></ds:DigestMethod><ds:DigestValue>` + value + `</ds:DigestValue>`
}

// properties is xades:SignedProperties.
func (d *Draft) properties() string {
	return `<xades:SignedProperties Id="S0-properties"><xades:SignedSignatureProperties>` +
		`<xades:SigningTime>` + d.Time.Format(time.RFC3339) + `</xades:SigningTime>` +
		`<xades:SigningCertificateV2><xades:Cert><xades:CertDigest>` + digested(digest(d.Certificate)) + `</xades:CertDigest></xades:Cert></xades:SigningCertificateV2>` +
		`</xades:SignedSignatureProperties><xades:SignedDataObjectProperties>` +
		`<xades:DataObjectFormat ObjectReference="#S0-file"><xades:MimeType>` + d.Type + `</xades:MimeType></xades:DataObjectFormat>` +
		`</xades:SignedDataObjectProperties></xades:SignedProperties>`
}

// info is ds:SignedInfo.
func (d *Draft) info() string {
	return `<ds:SignedInfo><ds:CanonicalizationMethod Algorithm="` + c14n + `"></ds:CanonicalizationMethod>` +
		`<ds:SignatureMethod Algorithm="` + rsaSHA256 + `"></ds:SignatureMethod>` +
		`<ds:Reference Id="S0-file" URI="` + attribute(url.PathEscape(d.Name)) + `">` + digested(digest(d.Content)) + `</ds:Reference>` +
		`<ds:Reference Type="http://uri.etsi.org/01903#SignedProperties" URI="#S0-properties"><ds:Transforms><ds:Transform Algorithm="` + c14n + `"></ds:Transform></ds:Transforms>` +
		digested(digest(canonical(d.properties()))) + `</ds:Reference></ds:SignedInfo>`
}

// canonical is an element as it is digested: with the namespaces that the root declares.
func canonical(element string) []byte {
	end := strings.IndexAny(element, " >")
	return []byte(element[:end] + namespaces + element[end:])
}

// Digest is SHA-256 of what is signed; nil for a draft that New would refuse.
func (d *Draft) Digest() []byte {
	if d.check() != nil {
		return nil
	}
	sum := sha256.Sum256(canonical(d.info()))
	return sum[:]
}

// Finish returns the container with a signature: RSASSA-PKCS1-v1_5 with SHA-256, over
// Digest. The error is ErrSignature, or wraps ErrFile.
func (d *Draft) Finish(signature []byte) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(d.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || rsa.VerifyPKCS1v15(key, crypto.SHA256, d.Digest(), signature) != nil {
		return nil, ErrSignature
	}
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i, f := range []struct {
		name string
		text []byte
	}{
		// First, and as it stands, so that programs find it at its place.
		{"mimetype", []byte(MimeType)},
		{d.Name, d.Content},
		{manifestName, []byte(d.manifest())},
		{signatureName, []byte(d.signatures(signature))},
	} {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if i == 0 {
			h.Method = zip.Store
			h.CRC32, h.CompressedSize64, h.UncompressedSize64 = checksum(f.text), uint64(len(f.text)), uint64(len(f.text))
			w, err := z.CreateRaw(h)
			if err == nil {
				_, err = w.Write(f.text)
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		h.Modified = d.Time
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(f.text)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

const (
	manifestName  = "META-INF/manifest.xml"
	signatureName = "META-INF/signatures0.xml"
)

func (d *Draft) manifest() string {
	return header + `<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">` +
		`<manifest:file-entry manifest:full-path="/" manifest:media-type="` + MimeType + `"></manifest:file-entry>` +
		`<manifest:file-entry manifest:full-path="` + attribute(d.Name) + `" manifest:media-type="` + d.Type + `"></manifest:file-entry></manifest:manifest>` + "\n"
}

func (d *Draft) signatures(signature []byte) string {
	return header + `<asic:XAdESSignatures` + namespaces + `><ds:Signature Id="S0">` + d.info() +
		`<ds:SignatureValue Id="S0-value">` + base64.StdEncoding.EncodeToString(signature) + `</ds:SignatureValue>` +
		`<ds:KeyInfo><ds:X509Data><ds:X509Certificate>` + base64.StdEncoding.EncodeToString(d.Certificate) + `</ds:X509Certificate></ds:X509Data></ds:KeyInfo>` +
		`<ds:Object><xades:QualifyingProperties Target="#S0">` + d.properties() + `</xades:QualifyingProperties></ds:Object>` +
		`</ds:Signature></asic:XAdESSignatures>` + "\n"
}

package asice

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"time"
)

func checksum(text []byte) uint32 { return crc32.ChecksumIEEE(text) }

// Signed is a container that was opened: the file, and who signed it when, by the
// signer's own clock. The certificate is as it stands: whether a CA has issued it is for
// the caller to find out.
type Signed struct {
	Draft
	Signer    *x509.Certificate
	Signature []byte
}

// MaxContainer is the most bytes of a container that Open reads.
const MaxContainer = MaxFile + 1<<16

// maxXML is the most bytes of its signature and its manifest.
const maxXML = 1 << 16

// Open opens a container that this package has made, and verifies its signature. It reads
// no XML: it takes from it what differs from one container to another, writes it anew,
// and compares all bytes. So a container of other software, however good, is refused,
// with an error that wraps ErrContainer; a signature of other bytes is ErrSignature.
func Open(container []byte) (*Signed, error) {
	if len(container) > MaxContainer {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrContainer, MaxContainer)
	}
	z, err := zip.NewReader(bytes.NewReader(container), int64(len(container)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContainer, err)
	}
	if len(z.File) != 4 || z.File[0].Name != "mimetype" || z.File[0].Method != zip.Store || z.File[2].Name != manifestName || z.File[3].Name != signatureName {
		return nil, fmt.Errorf("%w: its files", ErrContainer)
	}
	var texts [4][]byte
	for i, most := range []int64{int64(len(MimeType)), MaxFile, maxXML, maxXML} {
		if texts[i], err = read(z.File[i], most); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrContainer, err)
		}
	}
	xml := string(texts[3])
	s := &Signed{Draft: Draft{Name: z.File[1].Name, Content: texts[1], Type: between(xml, "<xades:MimeType>", "<")}}
	if s.Time, err = time.Parse(time.RFC3339, between(xml, "<xades:SigningTime>", "<")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContainer, err)
	}
	if s.Certificate, err = base64.StdEncoding.DecodeString(between(xml, "<ds:X509Certificate>", "<")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContainer, err)
	}
	if s.Signature, err = base64.StdEncoding.DecodeString(between(xml, `<ds:SignatureValue Id="S0-value">`, "<")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContainer, err)
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContainer, err)
	}
	if s.Signer, err = x509.ParseCertificate(s.Certificate); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContainer, err)
	}
	switch {
	case string(texts[0]) != MimeType, string(texts[2]) != s.manifest():
		return nil, fmt.Errorf("%w: its manifest", ErrContainer)
	case xml != s.signatures(s.Signature):
		// A digest in it is of another file, or it is other software's.
		return nil, fmt.Errorf("%w: the signature is not over this file, or of another form", ErrContainer)
	}
	key, ok := s.Signer.PublicKey.(*rsa.PublicKey)
	if !ok || rsa.VerifyPKCS1v15(key, crypto.SHA256, s.Digest(), s.Signature) != nil {
		return nil, ErrSignature
	}
	return s, nil
}

func read(f *zip.File, most int64) ([]byte, error) {
	in, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", f.Name, most)
	}
	return text, err
}

// between returns what stands between two marks; "" if the first is not there.
func between(s, begin, end string) string {
	_, rest, _ := strings.Cut(s, begin)
	text, _, _ := strings.Cut(rest, end)
	return text
}

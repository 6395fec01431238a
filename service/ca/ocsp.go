package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// ocspLife is from thisUpdate to nextUpdate of an answer. Each answer is signed when it
// is asked for; the life is for verifiers who keep it.
const ocspLife = time.Hour

var (
	oidBasicOCSP       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidArchiveCutoff   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 6}
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
)

// The OCSPResponseStatus of RFC 6960, section 4.2.1.
const (
	ocspSuccessful   = 0
	ocspMalformed    = 1
	ocspTryLater     = 3
	ocspUnauthorized = 6
)

var errOtherIssuer = errors.New("ca: an OCSP request about another CA, or about several")

// OCSP answers an OCSP request. There is always an answer; the error says why it is a
// refusal: the request is malformed, or about a CA that is not this Authority's (or about
// two of them, or one that has expired), or the store or the signer does not work.
//
// A certificate is "good" only if it is in the store and was not revoked, and "unknown"
// if this CA never issued it. A nonce comes back as it is. Of every certificate ever
// issued the answer is known, so the archive cutoff is the beginning of the issuing CA.
func (a *Authority) OCSP(ctx context.Context, request []byte) ([]byte, error) {
	if err := a.ready(ctx); err != nil {
		return refusal(ocspTryLater), err
	}
	r, err := parseOCSPRequest(request)
	if err != nil {
		return refusal(ocspMalformed), err
	}
	i, err := a.asked(r)
	if err != nil {
		return refusal(ocspUnauthorized), err
	}
	signer, err := a.responder(ctx, i)
	if errors.Is(err, errCAExpired) {
		return refusal(ocspUnauthorized), err
	}
	if err != nil {
		return refusal(ocspTryLater), fmt.Errorf("ca: no OCSP responder: %w", err)
	}
	statuses := make([]*Record, len(r.ids))
	for n, id := range r.ids {
		if statuses[n], err = a.status(ctx, i, id); err != nil {
			return refusal(ocspTryLater), fmt.Errorf("ca: looking up a certificate: %w", err)
		}
	}
	der, err := signer.answer(i, r, statuses)
	if err != nil {
		return refusal(ocspTryLater), err
	}
	return der, nil
}

// asked returns the issuing CA that all of a request is about: the certificate of its
// responder is good for no other.
func (a *Authority) asked(r *ocspRequest) (*issuer, error) {
	for _, i := range a.issuers {
		if !i.is(r.ids[0]) {
			continue
		}
		for _, id := range r.ids[1:] {
			if !i.is(id) {
				return nil, errOtherIssuer
			}
		}
		return i, nil
	}
	return nil, errOtherIssuer
}

func (i *issuer) is(id certID) bool {
	return id.hash >= 0 && string(id.name) == string(i.names[id.hash]) && string(id.key) == string(i.keys[id.hash])
}

// status returns the record of a certificate, or nil if the issuer never issued it.
func (a *Authority) status(ctx context.Context, i *issuer, id certID) (*Record, error) {
	serial, err := SerialOf(id.serial)
	if err != nil {
		return nil, nil
	}
	r, err := a.store.Record(ctx, serial)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case r.Issuer != i.id:
		return nil, nil
	case r.Serial != serial:
		return nil, errors.New("the store returned another record")
	}
	return &r, nil
}

// refusal is an OCSPResponse without an answer. It is not signed.
func refusal(status int64) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Enum(status) })
	return b.BytesOrPanic()
}

// answer is the OCSPResponse of RFC 6960, section 4.2.1.
func (s *responder) answer(i *issuer, r *ocspRequest, statuses []*Record) ([]byte, error) {
	var b cryptobyte.Builder
	s.addResponseData(&b, i, r, statuses)
	data, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(data)
	signature, err := ecdsa.SignASN1(rand.Reader, s.key, digest[:])
	if err != nil {
		return nil, err
	}
	if !ecdsa.VerifyASN1(&s.key.PublicKey, digest[:], signature) {
		return nil, errors.New("ca: a signature of the OCSP responder does not verify")
	}

	var response cryptobyte.Builder
	response.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(ocspSuccessful)
		b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasicOCSP)
				b.AddASN1(cryptobyteasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(data)
						b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oidECDSAWithSHA256) })
						b.AddASN1BitString(signature)
						b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) {
							b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(s.certificate.Raw) })
						})
					})
				})
			})
		})
	})
	return response.Bytes()
}

func (s *responder) addResponseData(b *cryptobyte.Builder, i *issuer, r *ocspRequest, statuses []*Record) {
	t := now()
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(contextTag(1), func(b *cryptobyte.Builder) { b.AddBytes(s.certificate.RawSubject) }) // responderID byName
		b.AddASN1GeneralizedTime(t)
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for n, id := range r.ids {
				b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddBytes(id.raw)
					addStatus(b, statuses[n])
					b.AddASN1GeneralizedTime(t)
					b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(t.Add(ocspLife)) })
					b.AddASN1(contextTag(1), func(b *cryptobyte.Builder) {
						addExtension(b, oidArchiveCutoff, func(b *cryptobyte.Builder) {
							b.AddASN1GeneralizedTime(i.Certificate.NotBefore.UTC())
						})
					})
				})
			}
		})
		if r.nonce != nil {
			b.AddASN1(contextTag(1), func(b *cryptobyte.Builder) {
				addExtension(b, oidNonce, func(b *cryptobyte.Builder) { b.AddBytes(r.nonce) })
			})
		}
	})
}

// addStatus adds a CertStatus.
func addStatus(b *cryptobyte.Builder, r *Record) {
	switch {
	case r == nil: // unknown
		b.AddASN1(cryptobyteasn1.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
	case r.Revoked == nil: // good
		b.AddASN1(cryptobyteasn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
	default:
		b.AddASN1(contextTag(1), func(b *cryptobyte.Builder) {
			b.AddASN1GeneralizedTime(r.Revoked.At.UTC())
			// RFC 5280 would have a reason that says nothing left out.
			if r.Revoked.Reason != Unspecified {
				b.AddASN1(contextTag(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(r.Revoked.Reason)) })
			}
		})
	}
}

// addExtension adds an Extensions with one extension.
func addExtension(b *cryptobyte.Builder, oid asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) {
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			b.AddASN1(cryptobyteasn1.OCTET_STRING, value)
		})
	})
}

package ca

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// responderLife is how long an OCSP responder's certificate is valid. Nobody can
	// revoke it (nocheck), so it is short.
	responderLife = 7 * 24 * time.Hour
	// responderEarly is how far its validity begins in the past, for verifiers whose
	// clocks are late.
	responderEarly = time.Hour
)

var oidNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}

// responder signs OCSP answers for one issuing CA. Its key is nowhere but in memory.
type responder struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

type responderState struct {
	turn turn
	last atomic.Pointer[responder]
}

func newResponderState() responderState { return responderState{turn: newTurn()} }

func (r *responder) valid(t time.Time) bool {
	return r != nil && t.Before(r.certificate.NotAfter)
}

// responder returns a responder, which is a new one if half of the last one's life is
// over. If there can be no new one, the last is good until it expires.
func (a *Authority) responder(ctx context.Context, i *issuer) (*responder, error) {
	last := i.responder.last.Load()
	if last.valid(now().Add(responderLife / 2)) {
		return last, nil
	}
	if err := i.responder.turn.take(ctx); err != nil {
		if last.valid(now()) {
			return last, nil
		}
		return nil, err
	}
	defer i.responder.turn.give()
	// Somebody else may have made one meanwhile.
	if last = i.responder.last.Load(); last.valid(now().Add(responderLife / 2)) {
		return last, nil
	}
	next, err := a.newResponder(ctx, i)
	if err != nil {
		if last.valid(now()) {
			return last, nil
		}
		return nil, err
	}
	i.responder.last.Store(next)
	return next, nil
}

var errCAExpired = errors.New("ca: the issuing CA has expired")

func (a *Authority) newResponder(ctx context.Context, i *issuer) (*responder, error) {
	t := now()
	end := t.Add(responderLife)
	if end.After(i.Certificate.NotAfter) {
		end = i.Certificate.NotAfter
	}
	begin := t.Add(-responderEarly)
	if begin.Before(i.Certificate.NotBefore) {
		begin = i.Certificate.NotBefore
	}
	if !t.Before(end) {
		return nil, errCAExpired
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name := i.Certificate.Subject
	subject, err := encodeName(
		attribute{oidCommonName, name.CommonName + " OCSP", false},
	)
	if err != nil {
		return nil, err
	}
	id, err := keyID(key.Public())
	if err != nil {
		return nil, err
	}
	c, err := a.sign(ctx, i, &x509.Certificate{
		RawSubject:            subject,
		SubjectKeyId:          id,
		NotBefore:             begin,
		NotAfter:              end,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		ExtraExtensions:       []pkix.Extension{{Id: oidNoCheck, Value: asn1.NullBytes}},
	}, key.Public(), "")
	if err != nil {
		return nil, err
	}
	return &responder{c, key}, nil
}

package rpclient

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/crypto/ocsp"
)

// OCSP returns a Config.Revoked that asks the responder that a certificate names, or the
// one at url if that is not empty. client is http.DefaultClient if nil.
func OCSP(client *http.Client, url string) func(ctx context.Context, certificate, issuer *x509.Certificate) error {
	if client == nil {
		client = http.DefaultClient
	}
	return func(ctx context.Context, certificate, issuer *x509.Certificate) error {
		if ctx == nil || certificate == nil || issuer == nil {
			return fmt.Errorf("%w: no certificate", ErrConfig)
		}
		at := url
		if at == "" && len(certificate.OCSPServer) > 0 {
			at = certificate.OCSPServer[0]
		}
		request, err := ocsp.CreateRequest(certificate, issuer, nil)
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(request))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/ocsp-request")
		response, err := client.Do(r)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		der, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return err
		}
		status, err := ocsp.ParseResponseForCert(der, certificate, issuer)
		if err != nil {
			return err
		}
		now := time.Now()
		switch {
		case status.Status != ocsp.Good:
			return fmt.Errorf("%w: the certificate is revoked", ErrInvalid)
		case status.ThisUpdate.After(now.Add(ocspSkew)) || now.After(status.NextUpdate.Add(ocspSkew)):
			return fmt.Errorf("%w: an outdated answer of the OCSP responder", ErrInvalid)
		}
		return nil
	}
}

// ocspSkew is how far apart the clocks of responder and relying party may be.
const ocspSkew = 5 * time.Minute

package ca

import (
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

const ocspPath = "/ocsp"

// Handler serves what certificates point to, below Config.URL:
//
//	POST /ocsp          an OCSP request in DER
//	GET  /ocsp/BASE64   the same in the URL (RFC 6960, appendix A.1)
//	GET  /ID.crl        the CRL of an issuing CA
//	GET  /ID.crt        its certificate
//
// The path of Config.URL must have been taken off (http.StripPrefix). Do not put it
// behind an http.ServeMux: the base64 of a request may have "//" in it, which a ServeMux
// makes "/" of. Failures of the store and of signers are logged.
func (a *Authority) Handler(log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		get := r.Method == http.MethodGet || r.Method == http.MethodHead
		encoded, inPath := strings.CutPrefix(path, ocspPath+"/")
		crl, isCRL := strings.CutSuffix(path, ".crl")
		crt, isCRT := strings.CutSuffix(path, ".crt")
		switch {
		case path == ocspPath && r.Method == http.MethodPost:
			request, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOCSPRequest))
			if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
				http.Error(w, "the request is too large", http.StatusRequestEntityTooLarge)
				return
			}
			if err != nil {
				http.Error(w, "the request did not arrive", http.StatusBadRequest)
				return
			}
			a.serveOCSP(w, r, log, request)
		case inPath && get:
			// What does not decode is answered as any other malformed request.
			request, _ := decodePath(encoded)
			a.serveOCSP(w, r, log, request)
		case isCRL && get:
			der, err := a.CRL(r.Context(), strings.TrimPrefix(crl, "/"))
			switch {
			case errors.Is(err, ErrNotFound):
				http.NotFound(w, r)
			case err != nil:
				log.ErrorContext(r.Context(), "no CRL", "error", err)
				http.Error(w, "try later", http.StatusServiceUnavailable)
			default:
				serve(w, "application/pkix-crl", der)
			}
		case isCRT && get && a.ready(r.Context()) == nil && a.issuer(strings.TrimPrefix(crt, "/")) != nil:
			serve(w, "application/pkix-cert", a.issuer(strings.TrimPrefix(crt, "/")).Certificate.Raw)
		case path == ocspPath || inPath || isCRL:
			w.Header().Set("Allow", map[bool]string{true: "POST", false: "GET, HEAD"}[path == ocspPath])
			http.Error(w, "wrong method", http.StatusMethodNotAllowed)
		default:
			http.NotFound(w, r)
		}
	})
}

func (a *Authority) serveOCSP(w http.ResponseWriter, r *http.Request, log *slog.Logger, request []byte) {
	response, err := a.OCSP(r.Context(), request)
	if err != nil && !errors.Is(err, errMalformedOCSP) && !errors.Is(err, errOtherIssuer) && r.Context().Err() == nil {
		log.ErrorContext(r.Context(), "no OCSP answer", "error", err)
	}
	serve(w, "application/ocsp-response", response)
}

// serve keeps caches away: what was good a minute ago may be revoked.
func serve(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(body) // to a client who may have gone
}

// decodePath decodes an OCSP request in a URL: base64 with percent-encoding, of which
// some clients leave out a part, or the padding.
func decodePath(s string) ([]byte, error) {
	if len(s) > 2*maxOCSPRequest {
		return nil, errMalformedOCSP
	}
	text, err := url.PathUnescape(s)
	if err != nil {
		return nil, errMalformedOCSP
	}
	return base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
}

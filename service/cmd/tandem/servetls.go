package main

import (
	"crypto/tls"
	"log/slog"
	"os"
	"sync"
	"time"
)

// pair is a certificate in files that somebody renews: it is read again when they change.
type pair struct {
	config tlsConfig
	log    *slog.Logger
	clock  func() time.Time

	mu     sync.Mutex
	now    *tls.Certificate
	looked time.Time
	files  [2]time.Time // when they were changed
}

// lookAgain is how long a change of the files may go unnoticed.
const lookAgain = 10 * time.Second

func newPair(config tlsConfig, log *slog.Logger, clock func() time.Time) (*pair, error) {
	p := &pair{config: config, log: log, clock: clock}
	files, err := p.changed()
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(config.Certificate, config.Key)
	if err != nil {
		return nil, failf("failure", "give a certificate with its chain, and its key, in PEM", "%s: %w", config.Certificate, err)
	}
	p.now, p.files, p.looked = &certificate, files, clock()
	return p, nil
}

func (p *pair) changed() (files [2]time.Time, err error) {
	for i, name := range []string{p.config.Certificate, p.config.Key} {
		info, err := os.Stat(name)
		if err != nil {
			return files, err
		}
		files[i] = info.ModTime()
	}
	return files, nil
}

// get returns the certificate, the last good one if the files have none.
func (p *pair) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock()
	if now.Sub(p.looked) < lookAgain {
		return p.now, nil
	}
	p.looked = now
	files, err := p.changed()
	if err == nil && files == p.files {
		return p.now, nil
	}
	var certificate tls.Certificate
	if err == nil {
		certificate, err = tls.LoadX509KeyPair(p.config.Certificate, p.config.Key)
	}
	if err != nil {
		p.log.Error("the certificate for TLS cannot be read again: the last one is used", "cause", err)
		return p.now, nil
	}
	p.now, p.files = &certificate, files
	p.log.Info("another certificate for TLS")
	return p.now, nil
}

// tls is the server's configuration. A client's certificate is asked for, and whose it is
// the relying party's pin says: no CA is asked.
func (p *pair) tls() *tls.Config {
	return &tls.Config{GetCertificate: p.get, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
}

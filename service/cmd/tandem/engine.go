package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/bolt"
	"github.com/tandem-rsa/tandem/service/stores/etcd"
	"github.com/tandem-rsa/tandem/service/stores/postgres"
	"github.com/tandem-rsa/tandem/service/stores/watermark"
)

// engine is where a server's store is, as -store says: "bolt:FILE", "etcd:ENDPOINTS" or
// "postgres:URL". The zero value is storeFile in the server's folder.
type engine struct{ kind, at string }

const (
	boltEngine     = "bolt"
	etcdEngine     = "etcd"
	postgresEngine = "postgres"
)

// records is a store that the command has opened.
type records interface {
	limiter.Store
	limiter.Lister
	Close() error
}

// connectTime bounds how long a store on other machines is waited for.
const connectTime = 30 * time.Second

// parseEngine reads -store. The file of a bolt becomes absolute.
func parseEngine(spec string) (engine, error) {
	if spec == "" {
		return engine{}, nil
	}
	kind, at, _ := strings.Cut(spec, ":")
	if at == "" {
		return engine{}, usagef("-store is bolt:FILE, etcd:ENDPOINTS or postgres:URL, not %q", kind)
	}
	switch kind {
	case boltEngine:
		file, err := filepath.Abs(at)
		return engine{boltEngine, file}, err
	case etcdEngine:
		_, err := etcdOptions(at)
		return engine{etcdEngine, at}, err
	case postgresEngine:
		return engine{postgresEngine, at}, nil
	}
	return engine{}, usagef("-store is bolt:FILE, etcd:ENDPOINTS or postgres:URL, not %q", kind)
}

// String is as -store, for config.json.
func (e engine) String() string {
	if e.kind == "" {
		return ""
	}
	return e.kind + ":" + e.at
}

// file is that of a bolt.
func (e engine) file(folder string) string {
	if e.kind == "" {
		return filepath.Join(folder, storeFile)
	}
	return e.at
}

func (e engine) isFile() bool { return e.kind == "" || e.kind == boltEngine }

// shown is what a person sees: no password.
func (e engine) shown(folder string) string {
	switch e.kind {
	case etcdEngine:
		endpoints, _, _ := strings.Cut(e.at, "?")
		return etcdEngine + ":" + endpoints
	case postgresEngine:
		if u, err := url.Parse(e.url()); err == nil && u.Host != "" {
			return postgresEngine + "://" + u.Host + u.Path
		}
		return postgresEngine
	}
	return e.file(folder)
}

// url is what package postgres takes.
func (e engine) url() string {
	if strings.HasPrefix(e.at, "//") { // postgres://...
		return postgresEngine + ":" + e.at
	}
	return e.at
}

// open opens the store. A new one is made where there is none; exists refuses that.
func (e engine) open(ctx context.Context, folder string) (records, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	switch e.kind {
	case etcdEngine:
		o, err := etcdOptions(e.at)
		if err != nil {
			return nil, err
		}
		return asRecords(etcd.Open(ctx, o))
	case postgresEngine:
		return asRecords(postgres.Open(ctx, e.url(), postgres.Options{}))
	}
	return asRecords(bolt.Open(e.file(folder), bolt.Options{}))
}

// asRecords keeps a nil pointer out of an interface.
func asRecords[S records](s S, err error) (records, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// exists refuses a server without the file of its store, or with an empty one in its
// place. bolt.Open would begin a new one, in which no wrong PIN was ever counted.
func (e engine) exists(folder string) error {
	if !e.isFile() {
		return nil
	}
	name := e.file(folder)
	info, err := os.Stat(name)
	const next = "restore it from a backup that is as new as it was: an older one gives wrong PINs back (docs/operating.md)"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return failf("damaged", next, "%s is missing: it has the server's shares and counts", name)
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Size() == 0:
		return failf("damaged", next, "%s is empty, or no file: it has the server's shares and counts", name)
	}
	return nil
}

// openNew opens a store for a new server or a copy. It must have no records, except for
// what an init that failed leaves.
func (e engine) openNew(ctx context.Context, folder string) (records, error) {
	if e.isFile() {
		if err := checkNew(e.file(folder)); err != nil {
			return nil, err
		}
	}
	store, err := e.open(ctx, folder)
	if err != nil {
		return nil, err
	}
	unused, err := watermark.Unused(ctx, store)
	if err == nil && !unused {
		err = failf("exists", "give another one; or empty this one, if all it has is of an init that was killed. Two servers that share a store need one folder, copied", "%s has records already", e.shown(folder))
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// etcdOptions reads HOST:PORT,HOST:PORT or https://HOST:PORT,..., and after a "?" prefix,
// ca, cert and key, the last three being files.
func etcdOptions(at string) (o etcd.Options, err error) {
	endpoints, query, _ := strings.Cut(at, "?")
	o.Endpoints = strings.Split(endpoints, ",")
	values, err := url.ParseQuery(query)
	if err != nil {
		return o, usagef("-store etcd:%s: %v", endpoints, err)
	}
	for name := range values {
		switch name {
		case "prefix", "ca", "cert", "key":
		default:
			return o, usagef("-store etcd:...?%s: what follows the ? is prefix, ca, cert and key", name)
		}
	}
	o.Prefix = values.Get("prefix")
	secure := false
	for _, e := range o.Endpoints {
		if e == "" {
			return o, usagef("-store etcd:%s has an endpoint without a name", endpoints)
		}
		secure = secure || strings.HasPrefix(e, "https://")
	}
	if ca := values.Get("ca"); ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return o, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return o, usagef("%s has no certificate in PEM", ca)
		}
		o.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	} else if secure {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cert := values.Get("cert"); cert != "" {
		if o.TLS == nil {
			return o, usagef("-store etcd:...?cert is for https:// endpoints")
		}
		pair, err := tls.LoadX509KeyPair(cert, values.Get("key"))
		if err != nil {
			return o, fmt.Errorf("%s: %w", cert, err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return o, nil
}

package etcd_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"os"
	"time"

	"github.com/tandem-rsa/tandem/service/stores/etcd"
)

// A node of a service opens its store: the cluster's authority, and a certificate of the
// node's own. It is then the Store of a server.Config.
func Example() {
	authority, err := os.ReadFile("/etc/tandem/etcd-ca.pem")
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	own, err := tls.LoadX509KeyPair("/etc/tandem/node.pem", "/etc/tandem/node.key")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	store, err := etcd.Open(ctx, etcd.Options{
		Endpoints: []string{"https://etcd1:2379", "https://etcd2:2379", "https://etcd3:2379"},
		TLS:       &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
}

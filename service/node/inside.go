package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// inside is a listener of the node's own pages: connections within the process.
type inside struct {
	server      *http.Server
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
	transport   *http.Transport
}

// insideURL is what stands for the node inside: the name leads nowhere else.
const insideURL = "http://node.invalid"

// insideAddress is where connections from inside come from: the IPv4 dummy address (RFC
// 7600), which no packet has. So what relying parties of this machine may do is not used
// up by what browsers do, and no connection from outside is taken for one from inside.
var insideAddress = netip.MustParseAddr("192.0.0.8")

const insideHeaderTime = 10 * time.Second

func newInside(h http.Handler) *inside {
	i := &inside{connections: make(chan net.Conn), closed: make(chan struct{})}
	i.server = &http.Server{Handler: h, ReadHeaderTimeout: insideHeaderTime}
	i.transport = &http.Transport{DialContext: i.dial, MaxIdleConnsPerHost: 64}
	go func() { _ = i.server.Serve(i) }() // until close
	return i
}

// client calls the node.
func (i *inside) client() *http.Client { return &http.Client{Transport: i.transport} }

func (i *inside) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case i.connections <- insideConn{far}:
		return near, nil
	case <-i.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (i *inside) Accept() (net.Conn, error) {
	select {
	case c := <-i.connections:
		return c, nil
	case <-i.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (i *inside) Close() error {
	i.once.Do(func() { close(i.closed) })
	return nil
}

// Addr implements [net.Listener].
func (i *inside) Addr() net.Addr { return insideAddr{} }

// close ends all connections.
func (i *inside) close() error {
	if i == nil {
		return nil
	}
	i.transport.CloseIdleConnections()
	return errors.Join(i.server.Close(), i.Close())
}

type insideConn struct{ net.Conn }

func (insideConn) RemoteAddr() net.Addr { return insideAddr{} }

type insideAddr struct{}

func (insideAddr) Network() string { return "inside" }
func (insideAddr) String() string  { return netip.AddrPortFrom(insideAddress, 0).String() }

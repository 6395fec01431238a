// Package proxytest puts a TCP proxy between a client and a server, which cuts or holds
// their connections at a byte that the test chooses. It is for tests.
package proxytest

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Direction is where bytes go.
type Direction int

const (
	ToServer Direction = iota
	ToClient
)

// Proxy passes on what arrives at its own address to a server, and back. All of its
// methods may be called at any time, from any goroutine, and from what At calls.
type Proxy struct {
	server   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	change *sync.Cond
	closed bool
	cut    bool
	held   bool
	links  map[*link]bool
	passed [2]int
	traps  [2]*Trap
}

// link is one connection of a client and the one to the server that belongs to it.
type link struct {
	client, server net.Conn
	ended          bool
}

// Trap is what At sets.
type Trap struct {
	left   int
	spring func()
	sprung bool
}

// New returns a proxy on a free port of 127.0.0.1 in front of the server at an address
// "host:port". It ends with the test.
func New(t testing.TB, server string) *Proxy {
	t.Helper()
	p, err := Listen(server)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// Listen is New without a test. The proxy must be closed.
func Listen(server string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{server: server, listener: l, links: make(map[*link]bool)}
	p.change = sync.NewCond(&p.mu)
	p.running.Go(p.accept)
	return p, nil
}

// Address is where clients connect to, as "127.0.0.1:port".
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Close ends the proxy and every connection.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.endLinks()
	p.mu.Unlock()
	p.listener.Close()
	p.running.Wait()
}

// Cut ends every connection, as a crash does: what is under way is lost, both ends get a
// reset. New connections end at once, until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.endLinks()
}

// Break ends every connection as Cut does, and lets clients connect anew at once.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLinks()
}

// Hold lets nothing pass in either direction, as a pulled cable: connections stay open,
// and bytes wait. Heal lets them pass, also those of a client that went away meanwhile.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
}

// Heal ends Cut and Hold.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.held = false, false
	p.change.Broadcast()
}

// At calls spring once, as soon as a byte arrives that is not among the next n in this
// direction, over all connections together, and before this byte is passed on. With n = 0
// that is the next byte. It replaces a Trap that was set before for this direction.
func (p *Proxy) At(d Direction, n int, spring func()) *Trap {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.traps[d] = &Trap{left: n, spring: spring}
	return p.traps[d]
}

// Disarm takes the trap away, and reports whether it has called its function.
func (p *Proxy) Disarm(trap *Trap) (sprung bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for d := range p.traps {
		if p.traps[d] == trap {
			p.traps[d] = nil
		}
	}
	return trap.sprung
}

// Passed returns how many bytes went in a direction since the proxy began.
func (p *Proxy) Passed(d Direction) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[d]
}

// endLinks needs the lock.
func (p *Proxy) endLinks() {
	for l := range p.links {
		l.ended = true
		reset(l.client)
		reset(l.server)
	}
	clear(p.links)
	p.change.Broadcast()
}

// reset ends a connection at once: what is under way is dropped.
func reset(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func (p *Proxy) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut || p.closed
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	if p.refuses() {
		reset(client)
		return
	}
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = true
	if p.cut || p.closed {
		p.endLinks()
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, ToServer, client, server) })
	both.Go(func() { p.pass(l, ToClient, server, client) })
	both.Wait()
	client.Close()
	server.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// pass copies until from ends, and passes on the end.
func (p *Proxy) pass(l *link, d Direction, from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for b := buf[:n]; len(b) > 0; {
			k := p.admit(l, d, len(b))
			if k == 0 {
				return
			}
			if _, err := to.Write(b[:k]); err != nil {
				// The other direction may still have something to deliver.
				from.(*net.TCPConn).CloseRead()
				return
			}
			b = b[k:]
		}
		if err != nil {
			p.awaitRelease(l)
			to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// admit returns how many of n bytes may pass now, which is none once the link has ended.
func (p *Proxy) admit(l *link, d Direction, n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.held && !l.ended {
			p.change.Wait()
		}
		if l.ended {
			return 0
		}
		trap := p.traps[d]
		if trap != nil && trap.left == 0 {
			p.traps[d] = nil
			trap.sprung = true
			p.mu.Unlock()
			trap.spring()
			p.mu.Lock()
			continue
		}
		if trap != nil {
			n = min(n, trap.left)
			trap.left -= n
		}
		p.passed[d] += n
		return n
	}
}

// awaitRelease waits while the proxy holds everything, which includes the end of a
// connection.
func (p *Proxy) awaitRelease(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held && !l.ended {
		p.change.Wait()
	}
}

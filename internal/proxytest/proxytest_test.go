package proxytest_test

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/internal/proxytest"
)

// server notes what it receives on each connection, and answers every byte with two.
type server struct {
	address  string
	received chan []byte // what a connection brought, once it has ended
}

func newServer(t *testing.T) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	s := &server{l.Addr().String(), make(chan []byte, 10)}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var all []byte
				b := make([]byte, 100)
				for {
					n, err := c.Read(b)
					all = append(all, b[:n]...)
					if err != nil {
						s.received <- all
						return
					}
					c.Write(bytes.Repeat(b[:n], 2))
				}
			}()
		}
	}()
	return s
}

func dial(t *testing.T, address string) net.Conn {
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(time.Minute))) // a hang is a failure
	return c
}

func exchange(t *testing.T, c net.Conn, text string) {
	_, err := c.Write([]byte(text))
	require.NoError(t, err)
	answer := make([]byte, 2*len(text))
	_, err = io.ReadFull(c, answer)
	require.NoError(t, err)
}

func TestPasses(t *testing.T) {
	s := newServer(t)
	p := proxytest.New(t, s.address)
	c := dial(t, p.Address())
	exchange(t, c, "hello")
	exchange(t, c, "again")
	require.Equal(t, 10, p.Passed(proxytest.ToServer))
	require.Equal(t, 20, p.Passed(proxytest.ToClient))
	require.NoError(t, c.Close())
	require.Equal(t, "helloagain", string(<-s.received))
}

// TestCutAtEveryByte: exactly the bytes before the cut arrive, in either direction.
func TestCutAtEveryByte(t *testing.T) {
	s := newServer(t)
	p := proxytest.New(t, s.address)
	for n := range 5 {
		c := dial(t, p.Address())
		exchange(t, c, "+")
		trap := p.At(proxytest.ToServer, n, p.Cut)
		c.Write([]byte("12345"))
		_, err := io.ReadAll(c)
		require.Error(t, err, "no reset")
		require.Equal(t, "+12345"[:1+n], string(<-s.received))
		require.True(t, p.Disarm(trap))
		if c, err := net.Dial("tcp", p.Address()); err == nil {
			_, err = c.Read(make([]byte, 1))
			require.Error(t, err, "a connection while it is cut")
			c.Close()
		}
		p.Heal()
	}
	before := p.Passed(proxytest.ToClient)
	c := dial(t, p.Address())
	trap := p.At(proxytest.ToClient, 7, p.Break)
	c.Write([]byte("12345"))
	for {
		if _, err := c.Read(make([]byte, 100)); err != nil {
			break
		}
	}
	require.True(t, p.Disarm(trap))
	require.Equal(t, 7, p.Passed(proxytest.ToClient)-before)
	exchange(t, dial(t, p.Address()), "after a break clients may connect")
}

func TestNotReached(t *testing.T) {
	s := newServer(t)
	p := proxytest.New(t, s.address)
	c := dial(t, p.Address())
	trap := p.At(proxytest.ToServer, 5, p.Cut)
	exchange(t, c, "12345")
	require.False(t, p.Disarm(trap))
	exchange(t, c, "6")
}

// TestHeldBytesArriveLate: also from a client that has gone.
func TestHeldBytesArriveLate(t *testing.T) {
	s := newServer(t)
	p := proxytest.New(t, s.address)
	c := dial(t, p.Address())
	exchange(t, c, "+")
	held := make(chan struct{})
	p.At(proxytest.ToServer, 2, func() {
		p.Hold()
		close(held)
	})
	_, err := c.Write([]byte("12345"))
	require.NoError(t, err)
	<-held
	require.NoError(t, c.Close())
	require.Equal(t, 3, p.Passed(proxytest.ToServer))
	require.Empty(t, s.received)
	p.Heal()
	require.Equal(t, "+12345", string(<-s.received))
}

package storetest

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// request and response are what travels between a remote and its server.
type request struct {
	Op        string
	ID, After string
	Version   uint64
	Value     []byte
	Limit     int
}

type response struct {
	Err     string
	Value   []byte
	Version uint64
	IDs     []string
}

// named are the errors that travel.
var named = []error{limiter.ErrConflict, limiter.ErrNotFound, limiter.ErrLimit}

// serve answers requests over TCP until the test ends.
func (d *database) serve(t *testing.T) (address string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.converse(conn)
		}
	}()
	return l.Addr().String()
}

func (d *database) converse(conn net.Conn) {
	defer conn.Close()
	s := d.handle()
	in, out := gob.NewDecoder(conn), gob.NewEncoder(conn)
	for {
		var q request
		if in.Decode(&q) != nil || out.Encode(s.answer(q)) != nil {
			return
		}
	}
}

func (b *broken) answer(q request) (r response) {
	ctx := context.Background()
	var err error
	switch q.Op {
	case "load":
		r.Value, r.Version, err = b.Load(ctx, q.ID)
	case "create":
		err = b.Create(ctx, q.ID, q.Value)
	case "swap":
		err = b.Swap(ctx, q.ID, q.Version, q.Value)
	case "list":
		r.IDs, err = b.List(ctx, q.ID, q.After, q.Limit)
	case "put": // whatever is there
		b.mu.Lock()
		defer b.mu.Unlock()
		b.put(q.ID, q.Value)
	}
	if err != nil {
		r.Err = err.Error()
	}
	return r
}

// remote is a handle that reaches a database over TCP.
type remote struct {
	address string
	fault   string
	mu      sync.Mutex
	conn    net.Conn
	knows   map[string]bool // what the connection has prepared
	in      *gob.Decoder
	out     *gob.Encoder
}

func (r *remote) is(fault string) bool { return r.fault == fault }

// errLost is the error of a call whose connection was lost.
var errLost = errors.New("connection lost")

// ask sends a request. Before it is sent a lost connection does no harm.
func (r *remote) ask(ctx context.Context, q request) (a response, err error) {
	if err := ctx.Err(); err != nil {
		return a, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		conn, err := net.Dial("tcp", r.address)
		if err != nil {
			return a, errLost
		}
		r.conn, r.in, r.out, r.knows = conn, gob.NewDecoder(conn), gob.NewEncoder(conn), make(map[string]bool)
	}
	conn := r.conn
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	// As with a statement that is prepared, the first call of a kind goes there twice.
	if !r.knows[q.Op] {
		if err = r.out.Encode(request{Op: "prepare"}); err == nil {
			err = r.in.Decode(&a)
		}
		r.knows[q.Op] = true
	}
	if err == nil {
		err = r.out.Encode(q)
	}
	if err == nil {
		err = r.in.Decode(&a)
	}
	if !stop() || err != nil {
		conn.Close()
		r.conn = nil
	}
	if err != nil {
		return a, errLost
	}
	for _, n := range named {
		if a.Err == n.Error() {
			return a, n
		}
	}
	if a.Err != "" {
		return a, errors.New(a.Err)
	}
	return a, nil
}

func (r *remote) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn != nil {
		r.conn.Close()
	}
}

func (r *remote) Load(ctx context.Context, id string) ([]byte, uint64, error) {
	a, err := r.ask(ctx, request{Op: "load", ID: id})
	if err == errLost && r.is("what is lost is not found") {
		err = limiter.ErrNotFound
	}
	if err == errLost && r.is("what is lost is empty") {
		return nil, 1, nil
	}
	return bytes.Clone(a.Value), a.Version, err
}

func (r *remote) Create(ctx context.Context, id string, value []byte) error {
	q := request{Op: "create", ID: id, Value: value}
	if r.is("looks, and then creates") {
		if _, err := r.ask(ctx, request{Op: "load", ID: id}); err != limiter.ErrNotFound {
			return errors.Join(err, limiter.ErrConflict)
		}
		q.Op = "put"
	}
	_, err := r.ask(ctx, q)
	if err != errLost {
		return err
	}
	switch r.fault {
	case "a lost creation succeeds":
		return nil
	case "a lost creation conflicts":
		return limiter.ErrConflict
	case "a lost creation is repeated":
		_, err = r.ask(ctx, q)
	}
	return err
}

func (r *remote) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	q := request{Op: "swap", ID: id, Version: version, Value: value}
	if r.is("looks, and then swaps") {
		switch a, err := r.ask(ctx, request{Op: "load", ID: id}); {
		case err != nil:
			return err
		case a.Version != version:
			return limiter.ErrConflict
		}
		q.Op = "put"
	}
	_, err := r.ask(ctx, q)
	if err != errLost {
		return err
	}
	switch r.fault {
	case "a lost swap succeeds":
		return nil
	case "a lost swap conflicts":
		return limiter.ErrConflict
	case "a lost swap is repeated":
		_, err = r.ask(ctx, q)
	}
	return err
}

func (r *remote) List(ctx context.Context, prefix, after string, limit int) ([]string, error) {
	a, err := r.ask(ctx, request{Op: "list", ID: prefix, After: after, Limit: limit})
	if err == errLost && r.is("a lost list is at its end") {
		err = nil
	}
	return a.IDs, err
}

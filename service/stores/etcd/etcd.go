// Package etcd is a [limiter.Store] in an etcd cluster, for a service that runs on
// several machines. It is built on go.etcd.io/etcd/client/v3, and is a [limiter.Lister].
//
// # Durability
//
// Every Create and Swap is one transaction, on the disks of a majority of the members
// before it returns. It compares the revision at which the record was written last, so it
// never overwrites what it has not seen. Every Load and List is linearizable: the member
// that is asked asks a majority first. Nothing has a lease. The client repeats no write
// by itself: where a connection is lost, the result of the write is unknown.
//
// What is left to trust is the cluster: that its members sync (no --unsafe-no-fsync), and
// that none was put back to an older copy. docs/stores.md has the settings.
//
// # A full cluster
//
// etcd keeps each write until it is compacted, and takes no write at all once its file
// has reached its quota. Before that, at nine tenths of it, the store refuses writes by
// itself ([ErrNearlyFull]): nothing was written, Load goes on, and writes succeed again
// once the members are compacted and defragmented. It looks every few seconds, at every
// endpoint, and at the cluster's alarms: [ErrFull] for NOSPACE, and [ErrCorrupt] for
// CORRUPT, after which every call is refused.
//
// # Damage
//
// A record has a checksum, bound to its id: what does not fit is [ErrDamaged].
//
// # Security
//
// The cluster is trusted, as limiter.Store says (docs/scheme.md, section 12): whoever can
// write to its keys, restore a snapshot or bring a member back with an older disk gives a
// thief his tries back. Use TLS with certificates of both sides, and a user whose role
// has no key but those of the prefix. Package watermark notices a restore.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/stores/internal/checked"
)

// Options are settings for [Open]. Endpoints must be given.
type Options struct {
	// Endpoints are the client addresses of the members: "host:port", or URLs. All of
	// them are used, and no others.
	Endpoints []string
	// Prefix is what all keys of the store begin with; "tandem/" if empty. No store's
	// prefix may begin with another's, unless they are the same store.
	Prefix string
	// TLS is for the connections to the members: their authority (RootCAs) and the
	// client's certificate. Nil means no TLS, which is for tests.
	TLS *tls.Config
	// Username and Password are for a cluster with authentication.
	Username, Password string
	// Quota is the members' --quota-backend-bytes, for members that do not tell it
	// (before etcd 3.6). 0 means etcd's default, 2 GiB.
	Quota int64
	// Every is the time between two looks at quota and alarms. 0 means 5 seconds.
	Every time.Duration

	// patience is for tests: how long a member that does not answer pings is believed in,
	// and how long it may take to connect. 0 means keepaliveTimeout.
	patience time.Duration
}

var (
	// ErrNearlyFull is returned by Create, Swap and Ping while a member's file takes more
	// than nine tenths of its quota. The call wrote nothing, and will not.
	ErrNearlyFull = errors.New("etcd: cluster is nearly full")

	// ErrFull is returned by Create, Swap and Ping when the cluster has no room
	// (NOSPACE). Whether the first such call wrote something is unknown.
	ErrFull = errors.New("etcd: cluster has no room for a write")

	// ErrCorrupt is returned by every call once the cluster says that its members differ
	// (CORRUPT).
	ErrCorrupt = errors.New("etcd: cluster is corrupt")

	// ErrDamaged is returned for a record that is not what was written under its id.
	ErrDamaged = errors.New("etcd: damaged record")

	// ErrFormat is returned by Open for a prefix under which there is a store of a newer
	// version, or something else.
	ErrFormat = errors.New("etcd: not a store that this version can read")

	// ErrClosed is returned by every method of a closed store, of a nil one and of the
	// zero value.
	ErrClosed = errors.New("etcd: store is closed")
)

// Under the prefix:
//
//	m/format  number of this layout, in decimal
//	m/ping    empty, written by Ping
//	r/ || id  a record: see package checked; its version field is 1
//
// The version of a record is the revision at which it was written (ModRevision): one
// count of the whole cluster, so none ever comes back, even if a record is removed.
const (
	format      = "1"
	formatKey   = "m/format"
	pingKey     = "m/ping"
	recordKind  = "r/"
	recordLabel = "tandem etcd record 1"
)

const (
	defaultPrefix = "tandem/"
	defaultQuota  = 2 << 30
	defaultEvery  = 5 * time.Second
)

// Keepalive of the connections: a call to a member that is paused, or behind a broken
// line, is given up after their sum. Members refuse pings that come more often than every
// 5 s.
const (
	keepaliveTime    = 6 * time.Second
	keepaliveTimeout = 3 * time.Second
)

// often says how often a member that is away is asked for.
var often = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}

// Store is a [limiter.Store] in an etcd cluster. Close it when done.
type Store struct {
	client  *clientv3.Client
	options Options
	closing <-chan struct{}
	end     context.CancelFunc // closes closing
	stopped chan struct{}
	once    sync.Once

	mu    sync.Mutex
	state state
}

var (
	_ limiter.Store  = (*Store)(nil)
	_ limiter.Lister = (*Store)(nil)
)

// Open connects to a cluster and looks at its state. ctx bounds that. Errors are
// [ErrFormat], [ErrCorrupt], or those of the connection. A cluster that is full or nearly
// so is opened: its records can be read.
func Open(ctx context.Context, o Options) (*Store, error) {
	if ctx == nil || len(o.Endpoints) == 0 {
		return nil, errors.New("etcd: no context, or no endpoints")
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	if clientv3.GetPrefixRangeEnd(o.Prefix) == "\x00" {
		return nil, fmt.Errorf("etcd: %q as a prefix", o.Prefix)
	}
	if o.Quota < 0 || o.Every < 0 {
		return nil, fmt.Errorf("etcd: a quota of %d bytes, looked at every %v", o.Quota, o.Every)
	}
	if o.Quota == 0 {
		o.Quota = defaultQuota
	}
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.patience == 0 {
		o.patience = keepaliveTimeout
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	connecting := grpc.ConnectParams{Backoff: often, MinConnectTimeout: o.patience}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, TLS: o.TLS, Username: o.Username, Password: o.Password, Context: context.WithoutCancel(ctx),
		DialKeepAliveTime: keepaliveTime, DialKeepAliveTimeout: o.patience,
		DialOptions:     []grpc.DialOption{grpc.WithChainUnaryInterceptor(failFast), grpc.WithConnectParams(connecting)},
		MaxUnaryRetries: uint(2 * len(o.Endpoints)), // of reads, at other members; no write is repeated
		Logger:          zap.NewNop(),               // what went wrong is in the errors
	})
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	life, end := context.WithCancel(client.Ctx())
	s := &Store{client: client, options: o, closing: life.Done(), end: end, stopped: make(chan struct{})}
	if err := s.prepare(ctx); err != nil {
		end()
		return nil, errors.Join(err, client.Close())
	}
	go s.watch(life)
	return s, nil
}

// failFast lets a call fail at once where no member can be reached. The client's own
// calls would wait until their context ends.
func failFast(ctx context.Context, method string, request, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return invoke(ctx, method, request, reply, cc, append(opts, grpc.WaitForReady(false))...)
}

// prepare notes the layout where there is none, and looks at the cluster's state.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.look(ctx); err != nil {
		return err
	}
	if err := s.state.refuses(reading); err != nil {
		return err
	}
	key := s.options.Prefix + formatKey
	read, err := s.client.Get(ctx, key)
	if err == nil && len(read.Kvs) == 0 {
		if err := s.state.refuses(writing); err != nil {
			return err
		}
		_, err = s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).Then(clientv3.OpPut(key, format)).Commit()
		if err == nil {
			read, err = s.client.Get(ctx, key)
		}
	}
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if len(read.Kvs) != 1 || string(read.Kvs[0].Value) != format {
		return fmt.Errorf("%w: prefix %q", ErrFormat, s.options.Prefix)
	}
	return nil
}

// Close ends the store's connections. Only the first call does anything.
func (s *Store) Close() error {
	err := ErrClosed
	if s == nil || s.client == nil {
		return err
	}
	s.once.Do(func() {
		s.end()
		<-s.stopped
		err = s.client.Close()
	})
	return err
}

// ready returns why a call cannot be served, or nil.
func (s *Store) ready(ctx context.Context, what use) error {
	if s == nil || s.client == nil {
		return ErrClosed
	}
	if ctx == nil {
		return errors.New("etcd: no context")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.closing:
		return ErrClosed
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.refuses(what)
}

func (s *Store) recordKey(id string) string { return s.options.Prefix + recordKind + id }

// Load implements [limiter.Store].
func (s *Store) Load(ctx context.Context, id string) (value []byte, version uint64, err error) {
	if err := s.ready(ctx, reading); err != nil {
		return nil, 0, err
	}
	if err := limiter.CheckRecord(id, nil); err != nil {
		return nil, 0, err
	}
	key := s.recordKey(id)
	read, err := s.client.Get(ctx, key) // linearizable, unless it is told otherwise
	if err != nil {
		return nil, 0, fmt.Errorf("etcd: %w", known(err))
	}
	if len(read.Kvs) == 0 {
		return nil, 0, limiter.ErrNotFound
	}
	r, err := checked.Parse(recordLabel, []byte(key), read.Kvs[0].Value)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return r.Value, uint64(read.Kvs[0].ModRevision), nil
}

// Create implements [limiter.Store].
func (s *Store) Create(ctx context.Context, id string, value []byte) error {
	return s.write(ctx, id, value, clientv3.Compare(clientv3.CreateRevision(s.keyOf(id)), "=", 0))
}

// Swap implements [limiter.Store].
func (s *Store) Swap(ctx context.Context, id string, version uint64, value []byte) error {
	// No record is at revision 0, which etcd takes for the absence of one.
	never := version < 1 || version > math.MaxInt64
	if never {
		version = math.MaxInt64
	}
	return s.write(ctx, id, value, clientv3.Compare(clientv3.ModRevision(s.keyOf(id)), "=", int64(version)))
}

// keyOf is recordKey, also for a store that will refuse.
func (s *Store) keyOf(id string) string {
	if s == nil {
		return id
	}
	return s.recordKey(id)
}

// write puts a record if the condition holds, in one transaction.
func (s *Store) write(ctx context.Context, id string, value []byte, condition clientv3.Cmp) error {
	if err := s.ready(ctx, writing); err != nil {
		return err
	}
	if err := limiter.CheckRecord(id, value); err != nil {
		return err
	}
	key := s.recordKey(id)
	record := checked.Record{Version: 1, Value: value}.Encode(recordLabel, []byte(key))
	done, err := s.client.Txn(ctx).If(condition).Then(clientv3.OpPut(key, string(record))).Commit()
	if err != nil {
		return fmt.Errorf("etcd: result of the write unknown: %w", known(err))
	}
	if !done.Succeeded {
		return limiter.ErrConflict
	}
	return nil
}

// known gives an error of the cluster's its name in this package.
func known(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, rpctypes.ErrCorrupt):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// Ping checks that the cluster has a majority that takes writes, by a write, and looks at
// its state. Errors are those of a write.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.ready(ctx, reading); err != nil {
		return err
	}
	if err := s.look(ctx); err != nil {
		return err
	}
	if err := s.ready(ctx, writing); err != nil {
		return err
	}
	if _, err := s.client.Put(ctx, s.options.Prefix+pingKey, ""); err != nil {
		return fmt.Errorf("etcd: %w", known(err))
	}
	return nil
}

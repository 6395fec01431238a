package etcd

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/pinlock/limiter/storetest"
	"github.com/tandem-rsa/tandem/service/internal/durabletest"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/checked"
)

// never is no look at the state but those that the test asks for.
const never = 1000 * time.Hour

var prefixes atomic.Int64

// database is an empty store of its own in a cluster that many tests share.
func database(t *testing.T, c *etcdtest.Cluster) storetest.Database {
	prefix := fmt.Sprint("test", prefixes.Add(1), "/")
	raw := c.Client()
	at := func(patience time.Duration, endpoints ...string) limiter.Store {
		s, err := Open(t.Context(), Options{Endpoints: endpoints, Prefix: prefix, Every: never, patience: patience})
		require.NoError(t, err)
		return s
	}
	return storetest.Database{
		// Nothing disturbs these, but that the machine may not get to them for seconds.
		Open:  func() limiter.Store { return at(time.Minute, c.Endpoints()...) },
		Close: func(s limiter.Store) { require.NoError(t, s.(*Store).Close()) },
		Remove: func(id string) {
			_, err := raw.Delete(context.Background(), prefix+recordKind+id)
			require.NoError(t, err)
		},
		Server:    c.Nodes[0].Direct(),
		EveryByte: durabletest.Long(),
		OpenAt:    func(address string) limiter.Store { return at(0, address) },
	}
}

// TestContract: see storetest. One member takes all the writes; the tests of failover
// have three.
func TestContract(t *testing.T) {
	c := etcdtest.Start(t, 1)
	storetest.Run(t, func(t *testing.T) storetest.Database { return database(t, c) })
	if durabletest.Long() {
		durabletest.Claim(t, "unknown outcomes: etcd %s, connections cut, cancelled and held at every byte of a call: no write confirmed that did not happen, none of its own taken for a conflict", c.Version())
	}
	t.Run("Reopen", func(t *testing.T) {
		storetest.RunReopen(t, func(t *testing.T) storetest.Database { return database(t, c) })
	})
}

func openOn(t testing.TB, c *etcdtest.Cluster, o Options) *Store {
	t.Helper()
	if o.Endpoints == nil {
		o.Endpoints = c.Endpoints()
	}
	if o.Prefix == "" {
		o.Prefix = fmt.Sprint("test", prefixes.Add(1), "/")
	}
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// TestOneMember has what needs a cluster, and shares one.
func TestOneMember(t *testing.T) {
	c := etcdtest.Start(t, 1)
	for name, run := range map[string]func(t *testing.T, c *etcdtest.Cluster){
		"Damaged": damaged, "Format": otherFormat, "Prefixes": apart, "Pages": pages, "Closed": closed, "OneWrite": oneWrite, "NearlyFull": nearlyFull,
	} {
		t.Run(name, func(t *testing.T) { run(t, c) })
	}
	t.Run("Alarms", func(t *testing.T) { alarms(t, c) }) // at the end
}

// damaged: any bit that flips in a record, and a record that is found under another id or
// prefix, is an error.
func damaged(t *testing.T, c *etcdtest.Cluster) {
	s, raw := openOn(t, c, Options{Every: never}), c.Client()
	require.NoError(t, s.Create(t.Context(), "id", []byte("v")))
	read, err := raw.Get(t.Context(), s.recordKey("id"))
	require.NoError(t, err)
	good := read.Kvs[0].Value
	put := func(id, value string) {
		_, err := raw.Put(t.Context(), s.recordKey(id), value)
		require.NoError(t, err)
	}
	requireDamaged := func(id string) {
		_, _, err := s.Load(t.Context(), id)
		require.ErrorIs(t, err, ErrDamaged)
	}
	for bit := range 8 * len(good) {
		bad := []byte(string(good))
		bad[bit/8] ^= 1 << (bit % 8)
		put("id", string(bad))
		requireDamaged("id")
	}
	put("other", string(good))
	requireDamaged("other")
	for _, bad := range []string{"", string(good[:checked.Header-1]), strings.Repeat("x", checked.Header+limiter.MaxValue+1)} {
		put("id", bad)
		requireDamaged("id")
	}
	put("id", string(good))
	value, _, err := s.Load(t.Context(), "id")
	require.NoError(t, err)
	require.Equal(t, "v", string(value))
}

// otherFormat: a prefix with something else is refused, and left as it is.
func otherFormat(t *testing.T, c *etcdtest.Cluster) {
	raw := c.Client()
	for _, was := range []string{"2", "", "10", "1 "} {
		prefix := fmt.Sprint("test", prefixes.Add(1), "/")
		_, err := raw.Put(t.Context(), prefix+formatKey, was)
		require.NoError(t, err)
		_, err = Open(t.Context(), Options{Endpoints: c.Endpoints(), Prefix: prefix})
		require.ErrorIs(t, err, ErrFormat)
		read, err := raw.Get(t.Context(), prefix, clientv3.WithPrefix())
		require.NoError(t, err)
		require.Len(t, read.Kvs, 1)
		require.Equal(t, was, string(read.Kvs[0].Value))
	}
	for _, prefix := range []string{"\xff", "\xff\xff"} {
		_, err := Open(t.Context(), Options{Endpoints: c.Endpoints(), Prefix: prefix})
		require.Error(t, err)
	}
}

// apart: two stores in one cluster have nothing in common.
func apart(t *testing.T, c *etcdtest.Cluster) {
	a, b := openOn(t, c, Options{}), openOn(t, c, Options{Prefix: "\x00\xff"})
	require.NoError(t, a.Create(t.Context(), "id", []byte("a")))
	_, _, err := b.Load(t.Context(), "id")
	require.ErrorIs(t, err, limiter.ErrNotFound)
	ids, err := b.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Empty(t, ids)
	require.NoError(t, b.Create(t.Context(), "id", []byte("b")))
	ids, err = b.List(t.Context(), "", "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"id"}, ids)
	for _, version := range []uint64{0, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		require.ErrorIs(t, b.Swap(t.Context(), "none", version, nil), limiter.ErrConflict)
	}
}

// pages: an answer has at most a page, whatever is asked for.
func pages(t *testing.T, c *etcdtest.Cluster) {
	s, raw := openOn(t, c, Options{}), c.Client()
	const records = longestPage + 50
	for i := 0; i < records; i += 100 {
		var puts []clientv3.Op
		for j := range 100 {
			puts = append(puts, clientv3.OpPut(s.recordKey(fmt.Sprintf("%06d", i+j)), ""))
		}
		_, err := raw.Txn(t.Context()).Then(puts...).Commit()
		require.NoError(t, err)
	}
	page, err := s.List(t.Context(), "", "", records)
	require.NoError(t, err)
	require.Len(t, page, longestPage)
	rest, err := s.List(t.Context(), "", page[len(page)-1], records)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%06d", longestPage), rest[0])
}

// oneWrite: a signature, from the challenge to the answer, is one durable write.
func oneWrite(t *testing.T, c *etcdtest.Cluster) {
	sign, raw := benchtest.Signer(t, openOn(t, c, Options{Every: never})), c.Client()
	revision := func() int64 {
		read, err := raw.Get(t.Context(), "x")
		require.NoError(t, err)
		return read.Header.Revision
	}
	before := revision()
	sign()
	require.Equal(t, before+1, revision())
}

func closed(t *testing.T, c *etcdtest.Cluster) {
	s := openOn(t, c, Options{})
	require.NoError(t, s.Ping(t.Context()))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Close(), ErrClosed)
	_, _, err := s.Load(t.Context(), "id")
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, s.Create(t.Context(), "id", nil), ErrClosed)
	require.ErrorIs(t, s.Swap(t.Context(), "id", 1, nil), ErrClosed)
	require.ErrorIs(t, s.Ping(t.Context()), ErrClosed)
	_, err = s.List(t.Context(), "", "", 1)
	require.ErrorIs(t, err, ErrClosed)
}

// nearlyFull: above nine tenths of the quota nothing more is written; reads go on, and
// writes do once there is room.
func nearlyFull(t *testing.T, c *etcdtest.Cluster) {
	s := openOn(t, c, Options{Every: never})
	require.NoError(t, s.Create(t.Context(), "id", []byte("v")))
	size, quota := s.state.size, s.state.quota
	require.Positive(t, size)
	s.mu.Lock()
	s.state.size = quota/10*9 + 1
	s.mu.Unlock()
	_, version, err := s.Load(t.Context(), "id")
	require.NoError(t, err)
	for _, err := range []error{s.Create(t.Context(), "new", nil), s.Swap(t.Context(), "id", version, nil)} {
		require.ErrorIs(t, err, ErrNearlyFull)
	}
	_, again, err := s.Load(t.Context(), "id")
	require.NoError(t, err)
	require.Equal(t, version, again)
	require.NoError(t, s.Ping(t.Context()), "a look finds room")
	require.NoError(t, s.Swap(t.Context(), "id", version, nil))
}

// alarms: what the cluster says of itself, the store says, by itself and with a Ping.
func alarms(t *testing.T, c *etcdtest.Cluster) {
	s, raw := openOn(t, c, Options{Every: 10 * time.Millisecond}), c.Client()
	require.NoError(t, s.Create(t.Context(), "id", []byte("v")))
	kv := etcdserverpb.NewMaintenanceClient(raw.ActiveConnection())
	for alarm, want := range map[etcdserverpb.AlarmType]error{etcdserverpb.AlarmType_NOSPACE: ErrFull, etcdserverpb.AlarmType_CORRUPT: ErrCorrupt} {
		members, err := raw.MemberList(t.Context())
		require.NoError(t, err)
		set := func(action etcdserverpb.AlarmRequest_AlarmAction) {
			_, err := kv.Alarm(t.Context(), &etcdserverpb.AlarmRequest{Action: action, MemberID: members.Members[0].ID, Alarm: alarm})
			require.NoError(t, err)
		}
		set(etcdserverpb.AlarmRequest_ACTIVATE)
		// The cluster refuses from now on, and the store soon before that.
		require.ErrorIs(t, s.Create(t.Context(), "new", nil), want)
		require.ErrorIs(t, s.Ping(t.Context()), want)
		require.Eventually(t, func() bool { return s.ready(t.Context(), writing) != nil }, time.Minute, time.Millisecond)
		require.ErrorIs(t, s.ready(t.Context(), writing), want)
		_, _, err = s.Load(t.Context(), "id")
		o := Options{Endpoints: c.Endpoints(), Prefix: s.options.Prefix}
		again, openErr := Open(t.Context(), o)
		if alarm == etcdserverpb.AlarmType_CORRUPT {
			require.ErrorIs(t, err, ErrCorrupt)
			require.ErrorIs(t, openErr, ErrCorrupt)
		} else {
			require.NoError(t, err)
			require.NoError(t, openErr)
			require.NoError(t, again.Close())
		}
		set(etcdserverpb.AlarmRequest_DEACTIVATE)
		require.Eventually(t, func() bool { return s.ready(t.Context(), writing) == nil }, time.Minute, time.Millisecond)
	}
	require.NoError(t, s.Ping(t.Context()))
}

// TestQuota: with a member that really fills, writes are refused before it does, and no
// alarm is raised; the older members are told by Options.Quota.
func TestQuota(t *testing.T) {
	const quota = 8 << 20
	// The size that a member tells has each write: by default it may lack those of a
	// tenth of a second, which here could be the last tenth of the quota.
	c := etcdtest.Start(t, 1, "--quota-backend-bytes", fmt.Sprint(quota), "--backend-batch-limit", "1")
	s := openOn(t, c, Options{Quota: quota, Every: 10 * time.Millisecond})
	value := make([]byte, limiter.MaxValue)
	var err error
	for i := 0; err == nil; i++ {
		require.Less(t, i, 1000)
		err = s.Create(t.Context(), fmt.Sprint(i), value)
		if err == nil {
			err = s.look(t.Context())
		}
	}
	require.ErrorIs(t, err, ErrNearlyFull)
	require.ErrorIs(t, s.Ping(t.Context()), ErrNearlyFull)
	_, _, err = s.Load(t.Context(), "0")
	require.NoError(t, err)
	list, err := c.Client().AlarmList(t.Context())
	require.NoError(t, err)
	require.Empty(t, list.Alarms)
	s2, err := Open(t.Context(), Options{Endpoints: c.Endpoints(), Prefix: s.options.Prefix, Quota: quota})
	require.NoError(t, err)
	require.ErrorIs(t, s2.Create(t.Context(), "new", nil), ErrNearlyFull)
	require.NoError(t, s2.Close())
}

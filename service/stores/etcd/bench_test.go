package etcd

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
	"github.com/tandem-rsa/tandem/service/internal/etcdtest"
	"github.com/tandem-rsa/tandem/service/stores/internal/benchtest"
)

// members is how many the clusters of the benchmarks have.
var members = []int{1, 3}

// BenchmarkSwap is a Load and a Swap, beside the same two calls of etcd's own client: a
// read and a transaction that compares the revision.
func BenchmarkSwap(b *testing.B) {
	for _, m := range members {
		c := etcdtest.Start(b, m)
		value := make([]byte, benchtest.ValueSize)
		for _, n := range benchtest.Clients {
			b.Run(fmt.Sprintf("members=%d/clients=%d/store", m, n), func(b *testing.B) {
				s := openOn(b, c, Options{})
				for i := range n {
					require.NoError(b, s.Create(b.Context(), fmt.Sprint(i), value))
				}
				benchtest.AtOnce(b, n, func(client int) error {
					id := fmt.Sprint(client)
					_, version, err := s.Load(context.Background(), id)
					if err != nil {
						return err
					}
					return s.Swap(context.Background(), id, version, value)
				})
			})
			b.Run(fmt.Sprintf("members=%d/clients=%d/client", m, n), func(b *testing.B) {
				client := c.Client()
				for i := range n {
					_, err := client.Put(b.Context(), fmt.Sprint("bench/", i), string(value))
					require.NoError(b, err)
				}
				benchtest.AtOnce(b, n, func(caller int) error {
					key := fmt.Sprint("bench/", caller)
					read, err := client.Get(context.Background(), key)
					if err != nil {
						return err
					}
					_, err = client.Txn(context.Background()).If(clientv3.Compare(clientv3.ModRevision(key), "=", read.Kvs[0].ModRevision)).
						Then(clientv3.OpPut(key, string(value))).Commit()
					return err
				})
			})
		}
	}
}

func BenchmarkAttempt(b *testing.B) {
	for _, m := range members {
		c := etcdtest.Start(b, m)
		b.Run(fmt.Sprintf("members=%d", m), func(b *testing.B) {
			benchtest.Attempts(b, func(b *testing.B, _ int) limiter.Store { return openOn(b, c, Options{}) })
		})
	}
}

func BenchmarkSignature(b *testing.B) {
	c := etcdtest.Start(b, 3)
	benchtest.Signature(b, "etcd", func(b *testing.B) limiter.Store { return openOn(b, c, Options{}) })
}

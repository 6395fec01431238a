package protocol_test

import (
	"testing"
	"context"
	"github.com/tandem-rsa/tandem/protocol"
)

func BenchmarkLoadKey(b *testing.B) {
	p, _ := protocol.NewKeyPool(2048, 1)
	_, blob, _ := p.NewKey(context.Background())
	p.Close()
	for b.Loop() {
		p, _ := protocol.NewKeyPool(2048, 1)
		p.LoadKey(context.Background(), blob)
	}
}

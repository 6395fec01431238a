package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/pinlock/limiter"
)

// concurrentLarge: while all nodes swap the longest values, nobody reads parts of two.
// Each value is one byte, repeated as often as only this byte is.
func concurrentLarge(t tester, h *handles) {
	const writes = 8 // of each node
	ctx := context.Background()
	stores := h.take(nodes)
	value := func(c byte) []byte { return bytes.Repeat([]byte{c}, limiter.MaxValue-int(c)) }
	whole := func(b []byte) error {
		if len(b) == 0 || !bytes.Equal(b, value(b[0])) {
			return fmt.Errorf("%d bytes that nobody wrote", len(b))
		}
		return nil
	}
	create(t, stores[0], "id", string(value(nodes)))
	var writing atomic.Int32
	writing.Store(nodes)
	errs := together(2*nodes, func(i int) error {
		s := stores[i%nodes]
		if i < nodes {
			defer writing.Add(-1)
			for done := 0; done < writes; {
				b, version, err := s.Load(ctx, "id")
				if err == nil {
					err = whole(b)
				}
				if err != nil {
					return err
				}
				switch err := s.Swap(ctx, "id", version, value(byte(i))); {
				case err == nil:
					done++
				case !errors.Is(err, limiter.ErrConflict):
					return err
				}
			}
			return nil
		}
		for writing.Load() > 0 {
			b, _, err := s.Load(ctx, "id")
			if err == nil {
				err = whole(b)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, errors.Join(errs...))
}

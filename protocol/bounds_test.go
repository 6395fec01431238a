package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRecordBounds: each number of a record at its bound, and beyond.
func TestRecordBounds(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	for name, c := range map[string]struct {
		change func(r *record)
		ok     bool
	}{
		"created in the last millisecond":   {func(r *record) { r.created = maxTime }, true},
		"created after it":                  {func(r *record) { r.created = maxTime + 1 }, false},
		"a lock that begins then":           {func(r *record) { r.until = int64(maxUntil) }, true},
		"a lock that begins after it":       {func(r *record) { r.until = int64(maxUntil) + 1 }, false},
		"the condition before the first":    {func(r *record) { r.condition = Pending - 1 }, false},
		"the first condition":               {func(r *record) { r.condition = Pending }, true},
		"the condition after the last":      {func(r *record) { r.condition = Destroyed + 1 }, false},
		"active, with a reason":             {func(r *record) { r.reason = ReasonRevoked }, false},
		"destroyed, without a reason":       {func(r *record) { r.destroy(ReasonRevoked); r.reason = 0 }, false},
		"destroyed, with a share":           {func(r *record) { share := r.sealedShare; r.destroy(ReasonRevoked); r.sealedShare = share }, false},
		"destroyed, with a counter that is": {func(r *record) { r.destroy(ReasonRevoked) }, true},
		"destroyed, with one that is not":   {func(r *record) { counter := r.counter; r.destroy(ReasonRevoked); r.counter = counter }, false},
		"active, with a destroyed counter":  {func(r *record) { r.counter = r.counter.Destroy() }, false},
		"no K_dev":                          {func(r *record) { r.sealedKey = nil }, false},
		"no share":                          {func(r *record) { r.sealedShare = nil }, false},
	} {
		r := loadRecord(t, s, p.id)
		c.change(r)
		value, err := r.encode()
		require.NoError(t, err)
		again, err := parseRecord(value)
		if !c.ok {
			require.ErrorIs(t, err, ErrRecord, name)
			continue
		}
		require.NoError(t, err, name)
		encoded, err := again.encode()
		require.NoError(t, err)
		require.Equal(t, value, encoded, name)
	}
}

// TestRequestBounds: the longest of each field of a request, and one byte more.
func TestRequestBounds(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	key := drawSecret()
	of := func(n, each int) [][]byte {
		all := make([][]byte, n)
		for i := range all {
			all[i] = make([]byte, each)
		}
		return all
	}
	for name, c := range map[string]struct {
		change func(r *request)
		ok     bool
	}{
		"a salt of 1,024 bytes":    {func(r *request) { r.salts = of(1, 1024) }, true},
		"a salt of 1,025 bytes":    {func(r *request) { r.salts = of(1, 1025) }, false},
		"a partial of 1,024 bytes": {func(r *request) { r.partials = of(1, 1024) }, true},
		"a partial of 1,025 bytes": {func(r *request) { r.partials = of(1, 1025) }, false},
		"a partial of a byte":      {func(r *request) { r.partials = of(1, 1) }, true},
		"an empty partial":         {func(r *request) { r.partials = of(1, 0) }, false},
		"the most documents": {func(r *request) {
			r.messages.digests, r.salts, r.partials = of(MaxDocuments, 32), of(MaxDocuments, 32), of(MaxDocuments, 256)
		}, true},
		"one document more": {func(r *request) {
			r.messages.digests, r.salts, r.partials = of(MaxDocuments+1, 32), of(MaxDocuments+1, 32), of(MaxDocuments+1, 256)
		}, false},
		"number 0": {func(r *request) { r.number = 0 }, false},
		"number 1": {func(r *request) { r.number = 1 }, true},
	} {
		r := p.forgery(t, OpSign, p, rightPIN).request
		c.change(r)
		plaintext, err := r.encode(key, p.id, nil)
		require.NoError(t, err)
		again, err := parseRequest(plaintext)
		if !c.ok {
			require.ErrorIs(t, err, ErrMalformed, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, r.salts, again.salts, name)
		require.Equal(t, r.partials, again.partials, name)
		require.Equal(t, r.number, again.number, name)
	}
}

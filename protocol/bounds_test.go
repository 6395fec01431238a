package protocol

import (
	"bytes"
	"crypto/sha256"
	"slices"
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
		"a challenge of then":               {func(r *record) { r.latest = maxTime }, true},
		"a challenge of after it":           {func(r *record) { r.latest = maxTime + 1 }, false},
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
		require.Equal(t, r, again, name)
	}
}

// TestAttemptBounds: the longest of each field of a request, and one byte more.
func TestAttemptBounds(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	key := drawSecret()
	four := []secret{drawSecret(), drawSecret(), drawSecret(), drawSecret()}
	given := make([]givenUp, maxGivenUp+1)
	for i := range given {
		given[i] = givenUp{request: sha256.Sum256([]byte{byte(i)}), expires: int64(i)}
	}
	for name, c := range map[string]struct {
		change func(a *attempt)
		ok     bool
	}{
		"a salt of 1,024 bytes":      {func(a *attempt) { a.salt = make([]byte, 1024) }, true},
		"a salt of 1,025 bytes":      {func(a *attempt) { a.salt = make([]byte, 1025) }, false},
		"a partial of 1,024 bytes":   {func(a *attempt) { a.partial = make([]byte, 1024) }, true},
		"a partial of 1,025 bytes":   {func(a *attempt) { a.partial = make([]byte, 1025) }, false},
		"a partial of a byte":        {func(a *attempt) { a.partial = make([]byte, 1) }, true},
		"no partial":                 {func(a *attempt) { a.partial = nil }, false},
		"no token":                   {func(a *attempt) { a.tokens = nil }, false},
		"a token":                    {func(a *attempt) { a.tokens = four[:1] }, true},
		"three tokens":               {func(a *attempt) { a.tokens = four[:3] }, true},
		"four tokens":                {func(a *attempt) { a.tokens = four }, false},
		"eight requests given up":    {func(a *attempt) { a.givenUp = given[:8] }, true},
		"nine requests given up":     {func(a *attempt) { a.givenUp = given }, false},
		"one that expires last":      {func(a *attempt) { a.givenUp = []givenUp{{expires: maxTime}} }, true},
		"one that expires after it":  {func(a *attempt) { a.givenUp = []givenUp{{expires: maxTime + 1}} }, false},
		"one that expired long ago":  {func(a *attempt) { a.givenUp = []givenUp{{expires: 0}} }, true},
		"one that expired before it": {func(a *attempt) { a.givenUp = []givenUp{{expires: -1}} }, false},
	} {
		a := p.forgery(t, OpSign, p, rightPIN).attempt
		c.change(a)
		plaintext, err := a.encode(key, p.id)
		require.NoError(t, err)
		again, err := parseAttempt(plaintext)
		if !c.ok {
			require.ErrorIs(t, err, ErrMalformed, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, len(a.salt), len(again.salt), name)
		require.Equal(t, len(a.partial), len(again.partial), name)
		require.Len(t, again.tokens, len(a.tokens), name)
		require.Equal(t, a.givenUp, again.givenUp, name)
	}

	// Tokens that are not whole.
	a := p.forgery(t, OpSign, p, rightPIN).attempt
	a.tokens = four[:1]
	plaintext, err := a.encode(key, p.id)
	require.NoError(t, err)
	at := bytes.Index(plaintext, four[0].bytes())
	require.Positive(t, at)
	for _, n := range []int{1, 31, 33, 63} {
		bad := slices.Concat(plaintext[:at-1], []byte{byte(n)}, make([]byte, n), plaintext[at+secretSize:])
		_, err := parseAttempt(bad)
		require.ErrorIs(t, err, ErrMalformed, "%d bytes of tokens", n)
	}
}

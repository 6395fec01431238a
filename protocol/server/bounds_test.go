package server

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/internal/protocoltest"
	"github.com/tandem-rsa/tandem/protocol/internal/wire"
)

// TestRecordBounds: each number of a record at its bound, and beyond.
func TestRecordBounds(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	for name, c := range map[string]struct {
		change func(r *record)
		ok     bool
	}{
		"created in the last millisecond": {func(r *record) { r.created = wire.MaxTime }, true},
		"created after it":                {func(r *record) { r.created = wire.MaxTime + 1 }, false},
		"a lock that begins then":         {func(r *record) { r.until = int64(wire.MaxUntil) }, true},
		"a lock that begins after it":     {func(r *record) { r.until = int64(wire.MaxUntil) + 1 }, false},
		"as many events as it holds":      {func(r *record) { r.events, r.eventNumber = someEvents(maxEvents), maxEvents }, true},
		"one event more":                  {func(r *record) { r.events, r.eventNumber = someEvents(maxEvents+1), maxEvents+1 }, false},
		"that one destroys": {func(r *record) {
			r.destroy(protocol.ReasonRevoked)
			r.events, r.eventNumber = append(someEvents(maxEvents), event{kind: destroyedEvent, reason: protocol.ReasonRevoked}), maxEvents+1
		}, true},
		"one more after the destruction": {func(r *record) {
			r.destroy(protocol.ReasonRevoked)
			r.events, r.eventNumber = append(someEvents(maxEvents+1), event{kind: destroyedEvent, reason: protocol.ReasonRevoked}), maxEvents+2
		}, false},
		"more events than there were":       {func(r *record) { r.events, r.eventNumber = someEvents(2), 1 }, false},
		"an event in the last millisecond":  {func(r *record) { r.events[0].at = wire.MaxTime }, true},
		"an event after it":                 {func(r *record) { r.events[0].at = wire.MaxTime + 1 }, false},
		"an event of no kind":               {func(r *record) { r.events[0].kind = 0 }, false},
		"an event of an unknown kind":       {func(r *record) { r.events[0].kind = recoveredEvent + 1 }, false},
		"a signature of no document":        {func(r *record) { r.events[0] = event{kind: signedEvent} }, false},
		"documents that were not signed":    {func(r *record) { r.events[0].documents = 1 }, false},
		"a verdict of no PIN":               {func(r *record) { r.events[0].verdict.Total = 1 }, false},
		"a reason to refresh":               {func(r *record) { r.events[0].reason = protocol.ReasonClone }, false},
		"destroyed for no reason":           {func(r *record) { r.events[0] = event{kind: destroyedEvent} }, false},
		"a fate before the first":           {func(r *record) { r.last.fate = 0 }, false},
		"a fate after the last":             {func(r *record) { r.last.fate = wire.FateCancelled + 1 }, false},
		"a right one with a verdict":        {func(r *record) { r.last.verdict.Total = 1 }, false},
		"none, with a hash":                 {func(r *record) { r.last.number = 0 }, false},
		"none":                              {func(r *record) { r.last = settled{} }, true},
		"half a hardware key":               {func(r *record) { r.hardware = make([]byte, 33) }, false},
		"the condition before the first":    {func(r *record) { r.condition = Pending - 1 }, false},
		"the first condition":               {func(r *record) { r.condition = Pending }, true},
		"the condition after the last":      {func(r *record) { r.condition = Destroyed + 1 }, false},
		"active, with a reason":             {func(r *record) { r.reason = protocol.ReasonRevoked }, false},
		"destroyed, without a reason":       {func(r *record) { r.destroy(protocol.ReasonRevoked); r.reason = 0 }, false},
		"destroyed, with a share":           {func(r *record) { share := r.sealedShare; r.destroy(protocol.ReasonRevoked); r.sealedShare = share }, false},
		"destroyed, with a counter that is": {func(r *record) { r.destroy(protocol.ReasonRevoked) }, true},
		"destroyed, with one that is not":   {func(r *record) { counter := r.counter; r.destroy(protocol.ReasonRevoked); r.counter = counter }, false},
		"active, with a destroyed counter":  {func(r *record) { r.counter = r.counter.Destroy() }, false},
		"recovered in the last millisecond": {func(r *record) { r.recovered = wire.MaxTime }, true},
		"recovered after it":                {func(r *record) { r.recovered = wire.MaxTime + 1 }, false},
		"recovered and not heard of":        {func(r *record) { r.recovered, r.unheard = 1, true }, true},
		"not heard of since no recovery":    {func(r *record) { r.unheard = true }, false},
		"destroyed and not heard of":        {func(r *record) { r.destroy(protocol.ReasonRevoked); r.recovered, r.unheard = 1, true }, false},
		"recovered, and its tries":          {func(r *record) { r.events[0] = event{kind: recoveredEvent, verdict: wire.Verdict{Total: 1}} }, true},
		"recovered with no try left":        {func(r *record) { r.events[0] = event{kind: recoveredEvent} }, false},
		"no K_dev":                          {func(r *record) { r.sealedKey = nil }, false},
		"no share":                          {func(r *record) { r.sealedShare = nil }, false},
	} {
		r := loadRecord(t, s, p.id)
		r.events, r.eventNumber = someEvents(1), 7
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

func someEvents(n int) []event { return slices.Repeat([]event{{kind: refreshedEvent}}, n) }

// TestRequestBounds: the longest of each field of a request, and one more.
func TestRequestBounds(t *testing.T) {
	s := newService(t)
	p := newReadyPhone(t, s)
	several := func(n int) func(r *wire.Request) {
		return func(r *wire.Request) {
			r.Messages.Digests = slices.Repeat(r.Messages.Digests, n)
			r.Salts, r.Partials = slices.Repeat(r.Salts, n), slices.Repeat(r.Partials, n)
		}
	}
	for name, c := range map[string]struct {
		change func(r *wire.Request)
		ok     bool
	}{
		"a salt of 1,024 bytes":    {func(r *wire.Request) { r.Salts[0], r.Messages.SaltLength = make([]byte, 1024), 1024 }, true},
		"a salt of 1,025 bytes":    {func(r *wire.Request) { r.Salts[0] = make([]byte, 1025) }, false},
		"a partial of 1,024 bytes": {func(r *wire.Request) { r.Partials[0] = make([]byte, 1024) }, true},
		"a partial of 1,025 bytes": {func(r *wire.Request) { r.Partials[0] = make([]byte, 1025) }, false},
		"a partial of a byte":      {func(r *wire.Request) { r.Partials[0] = make([]byte, 1) }, true},
		"no partial":               {func(r *wire.Request) { r.Partials[0] = nil }, false},
		"64 documents":             {several(64), true},
		"65 documents":             {several(65), false},
		"no document":              {several(0), false},
		"the last number":          {func(r *wire.Request) { r.Number = 1<<64 - 1 }, true},
		"no number":                {func(r *wire.Request) { r.Number = 0 }, false},
	} {
		r := p.forgery(t, protocol.OpSign, p, protocoltest.RightPIN).request
		c.change(r)
		plaintext, err := r.Encode(wire.DrawSecret(), p.id, nil)
		require.NoError(t, err)
		again, err := wire.ParseRequest(plaintext)
		if !c.ok {
			require.ErrorIs(t, err, protocol.ErrMalformed, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, r.Salts, again.Salts, name)
		require.Equal(t, r.Partials, again.Partials, name)
		require.Equal(t, r.Messages, again.Messages, name)
	}
}

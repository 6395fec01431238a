// Package metrics counts what a server.Server does, for Prometheus: [New] makes the
// server.Config.Observer.
//
//	tandem_request_seconds{operation, outcome}  time of requests, and how many
//	tandem_refused_total{cause}                 requests without an answer
//	tandem_events_total{kind, reason}           what happened to keys, once each
//	tandem_signatures_total                     documents that were signed
//	tandem_call_seconds{part, call, result}     calls of store, sealer, keys, audit sink
//	tandem_undelivered_events                   events that wait in a record
//	tandem_up{part}                             1 if the last [Metrics.Pinged] heard it
//
// The values of the labels are those that package protocol/server/observe lists. No
// metric has a key id or anything else of a person, and their number does not depend on
// what strangers send. docs/operating.md says what to alarm on.
package metrics

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-rsa/tandem/protocol"
	"github.com/tandem-rsa/tandem/protocol/server/observe"
)

// Metrics is an [observe.Observer]. Its methods may be called from many goroutines at
// once.
type Metrics struct {
	requests, calls *prometheus.HistogramVec
	refused, events *prometheus.CounterVec
	signatures      prometheus.Counter
	undelivered     prometheus.Histogram
	up              *prometheus.GaugeVec
}

var _ observe.Observer = (*Metrics)(nil)

// seconds are the buckets of times: from a read in memory to an HSM that makes a key.
var seconds = []float64{.0001, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New returns metrics that are registered. The error wraps [protocol.ErrConfig] without a
// registerer, and is the registerer's if it has such metrics already: one server, or
// several that share them.
func New(registerer prometheus.Registerer) (*Metrics, error) {
	if registerer == nil {
		return nil, fmt.Errorf("%w: no registerer", protocol.ErrConfig)
	}
	m := &Metrics{
		requests:    prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tandem_request_seconds", Help: "Time from a request to its answer.", Buckets: seconds}, []string{"operation", "outcome"}),
		calls:       prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tandem_call_seconds", Help: "Time of a call of the store, the sealer, the server keys or the audit sink.", Buckets: seconds}, []string{"part", "call", "result"}),
		refused:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tandem_refused_total", Help: "Requests without an answer."}, []string{"cause"}),
		events:      prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tandem_events_total", Help: "What happened to keys."}, []string{"kind", "reason"}),
		signatures:  prometheus.NewCounter(prometheus.CounterOpts{Name: "tandem_signatures_total", Help: "Documents that were signed."}),
		undelivered: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tandem_undelivered_events", Help: "Events that waited in a record when the audit sink did not take one.", Buckets: []float64{1, 2, 4, 7, 8, 9}}),
		up:          prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tandem_up", Help: "Whether a part answered the last ping."}, []string{"part"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.calls, m.refused, m.events, m.signatures, m.undelivered, m.up} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) made() bool { return m != nil && m.up != nil }

// Handled implements [observe.Observer].
func (m *Metrics) Handled(h observe.Handled) {
	if !m.made() {
		return
	}
	if h.Cause != "" {
		m.refused.WithLabelValues(h.Cause).Inc()
	}
	if h.Took > 0 { // else a transport refused it
		operation := "unknown"
		if h.Operation != 0 {
			operation = h.Operation.String()
		}
		m.requests.WithLabelValues(operation, h.Outcome).Observe(h.Took.Seconds())
	}
}

// Called implements [observe.Observer].
func (m *Metrics) Called(c observe.Call) {
	if m.made() {
		m.calls.WithLabelValues(string(c.Part), c.Name, c.Result).Observe(c.Took.Seconds())
	}
}

// Happened implements [observe.Observer].
func (m *Metrics) Happened(f observe.Fact) {
	if !m.made() {
		return
	}
	var reason string
	if f.Reason != 0 {
		reason = f.Reason.String()
	}
	m.events.WithLabelValues(f.Kind, reason).Inc()
	m.signatures.Add(float64(f.Documents))
}

// Undelivered implements [observe.Observer].
func (m *Metrics) Undelivered(waiting int) {
	if m.made() {
		m.undelivered.Observe(float64(waiting))
	}
}

// Pinged shows what server.Server.Ping returned: a service calls both every few seconds.
// After an error that is not an [observe.PingError] no part is up.
func (m *Metrics) Pinged(err error) {
	if !m.made() {
		return
	}
	bad, ok := errors.AsType[*observe.PingError](err)
	if !ok {
		bad = &observe.PingError{Store: err, Sealer: err, Keys: err}
	}
	for part, err := range map[observe.Part]error{observe.Store: bad.Store, observe.Sealer: bad.Sealer, observe.Keys: bad.Keys} {
		up := 1.0
		if err != nil {
			up = 0
		}
		m.up.WithLabelValues(string(part)).Set(up)
	}
}

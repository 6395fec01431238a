package node

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-rsa/tandem/service/metrics"
	"github.com/tandem-rsa/tandem/service/rp/rphttp"
)

var errDraining = errors.New("node: it is being stopped")

// metered are the node's metrics beside the server's. A nil one counts nothing.
//
//	tandem_rp_request_seconds{endpoint, status}   requests of relying parties
//	tandem_phone_request_seconds{status}          requests of phones
//	tandem_requests_in_flight{who}                of "rp" and "phone", waits included
//	tandem_database_up                            1 if the database answered last
//	tandem_notices{state}                         "waiting" or "failed"
type metered struct {
	server *metrics.Metrics
	rp     *prometheus.HistogramVec
	phone  *prometheus.HistogramVec
	flight *prometheus.GaugeVec
	up     prometheus.Gauge
	notice *prometheus.GaugeVec
}

func newMetered(r prometheus.Registerer) (*metered, error) {
	if r == nil {
		return nil, nil
	}
	m := &metered{
		rp: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tandem_rp_request_seconds", Help: "Requests of relying parties, waits included.", Buckets: prometheus.ExponentialBuckets(.001, 4, 9),
		}, []string{"endpoint", "status"}),
		phone: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tandem_phone_request_seconds", Help: "Requests of phones, waits included.", Buckets: prometheus.ExponentialBuckets(.001, 4, 9),
		}, []string{"status"}),
		flight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tandem_requests_in_flight", Help: "Requests that are not answered yet, waits included."}, []string{"who"}),
		up:     prometheus.NewGauge(prometheus.GaugeOpts{Name: "tandem_database_up", Help: "1 if the database answered when it was last asked."}),
		notice: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tandem_notices", Help: "Notices that wait for a sender, and that were given up."}, []string{"state"}),
	}
	for _, c := range []prometheus.Collector{m.rp, m.phone, m.flight, m.up, m.notice} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	var err error
	m.server, err = metrics.New(r)
	return m, err
}

func (m *metered) pinged(err error) {
	if m != nil {
		m.server.Pinged(err)
	}
}

func (m *metered) database(err error) {
	if m == nil {
		return
	}
	m.up.Set(1)
	if err != nil {
		m.up.Set(0)
	}
}

func (m *metered) notices(waiting, failed int) {
	if m != nil {
		m.notice.WithLabelValues("waiting").Set(float64(waiting))
		m.notice.WithLabelValues("failed").Set(float64(failed))
	}
}

// answered is rphttp's Observe.
func (m *metered) answered(a rphttp.Answered) {
	if m != nil {
		m.rp.WithLabelValues("v"+strconv.Itoa(int(a.Version))+"/"+a.Endpoint, strconv.Itoa(a.Status)).Observe(a.Took.Seconds())
	}
}

// parties counts the requests of relying parties that are under way.
func (m *metered) parties(next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer m.under("rp")()
		next.ServeHTTP(w, r)
	})
}

// under counts a request that is under way, until what it returns is called.
func (m *metered) under(who string) (done func()) {
	g := m.flight.WithLabelValues(who)
	g.Inc()
	return g.Dec
}

// phones counts what a handler answers.
func (m *metered) phones(next http.Handler) http.Handler {
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer m.under("phone")()
		s, start := &statusWriter{ResponseWriter: w, status: http.StatusOK}, time.Now()
		next.ServeHTTP(s, r)
		m.phone.WithLabelValues(strconv.Itoa(s.status)).Observe(time.Since(start).Seconds())
	})
}

// statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (s *statusWriter) Unwrap() http.ResponseWriter { return s.ResponseWriter }

package controller

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Requests measures the requests that are sent to Marathon: their Wrap goes
// into the options of the client.
type Requests struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// NewRequests returns measures that are registered with r; nil: with nobody.
func NewRequests(r prometheus.Registerer) (*Requests, error) {
	m := &Requests{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_marathon_requests_total", Help: "Requests to Marathon, by method and status; code is error where there was no answer.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pacer_marathon_request_seconds", Help: "Time until Marathon began its answer.",
			Buckets: []float64{.005, .02, .1, .5, 1, 2.5, 5, 15, 60},
		}, []string{"method"}),
	}
	return m, register(r, m.all())
}

func (m *Requests) all() []prometheus.Collector { return []prometheus.Collector{m.total, m.seconds} }

// Wrap returns a transport that measures what goes through another one.
func (m *Requests) Wrap(next http.RoundTripper) http.RoundTripper { return &measured{next, m} }

type measured struct {
	next http.RoundTripper
	m    *Requests
}

// RoundTrip sends one request.
func (t *measured) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	resp, err := t.next.RoundTrip(r)
	code := "error"
	if err == nil {
		code = strconv.Itoa(resp.StatusCode)
	}
	t.m.total.WithLabelValues(r.Method, code).Inc()
	t.m.seconds.WithLabelValues(r.Method).Observe(time.Since(began).Seconds())
	return resp, err
}

// CloseIdleConnections is what the client's end asks for.
func (t *measured) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

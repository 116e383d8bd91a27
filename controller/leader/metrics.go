package leader

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics is all that a candidate measures; docs/metrics.md lists it.
type metrics struct {
	leading prometheus.GaugeFunc
	epoch   prometheus.GaugeFunc
	lease   prometheus.GaugeFunc
	state   *prometheus.GaugeVec
	terms   prometheus.Counter
	checks  *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, status func() Status) (*metrics, error) {
	m := &metrics{
		leading: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pacer_leader", Help: "1 while this replica has a lease to write to Marathon.",
		}, func() float64 {
			if status().Leading {
				return 1
			}
			return 0
		}),
		epoch: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pacer_leader_epoch", Help: "Epoch of the leader as far as this replica knows; it grows with each election.",
		}, func() float64 { return float64(status().Epoch) }),
		lease: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pacer_leader_lease_seconds", Help: "Remaining time of this replica's lease.",
		}, func() float64 { return status().LeaseSeconds }),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_leader_state", Help: "1 for the current state of this replica.",
		}, []string{"state"}),
		terms: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pacer_leader_terms_total", Help: "Leases granted to this replica.",
		}),
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_leader_checks_total", Help: "Quorum checks of this replica's node in ZooKeeper, by result: ok or failed.",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pacer_leader_check_seconds", Help: "Duration of these checks; one that takes a fifth of the session timeout counts as missed.",
			Buckets: []float64{.002, .005, .02, .1, .5, 1, 2, 5},
		}),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range m.all() {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.leading, m.epoch, m.lease, m.state, m.terms, m.checks, m.seconds}
}

func (m *metrics) checked(took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.checks.WithLabelValues(result).Inc()
	m.seconds.Observe(took.Seconds())
}

func (m *metrics) inState(s State) {
	for _, state := range States() {
		v := 0.0
		if state == s {
			v = 1
		}
		m.state.WithLabelValues(string(state)).Set(v)
	}
}

package controller

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller/store"
)

// metrics is all that the controller measures. The names stand here and in
// docs/metrics.md only, and a test compares the two.
type metrics struct {
	passes       *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
	changes      *prometheus.CounterVec
	apps         *prometheus.GaugeVec
	conditions   *prometheus.GaugeVec
	suspended    *prometheus.GaugeVec
	rolledBack   *prometheus.GaugeVec
	held         *prometheus.GaugeVec
	stateLost    *prometheus.GaugeVec
	waiting      *prometheus.GaugeVec
	sourceErrors *prometheus.CounterVec
	success      *prometheus.GaugeVec
	stream       prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		passes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_sync_passes_total", Help: "Passes that ended, by result.",
		}, []string{"sync", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pacer_sync_pass_seconds", Help: "How long passes took, with the waiting for rollouts.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900},
		}, []string{"sync"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_changes_total", Help: "Changes that ended, by action and result.",
		}, []string{"sync", "action", "result"}),
		apps: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_sync_apps", Help: "Apps, pods and groups of a sync, by state and health; groups have no health.",
		}, []string{"sync", "state", "health"}),
		conditions: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_sync_app_conditions", Help: "Apps, pods and groups of a sync, by condition.",
		}, []string{"sync", "condition"}),
		suspended: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_sync_suspended", Help: "1 while a sync is suspended.",
		}, []string{"sync"}),
		rolledBack: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_sync_rolled_back", Help: "1 while a sync is held at an earlier revision.",
		}, []string{"sync"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_sync_held", Help: "1 while a sync is held at the newest revision that was applied, since its source answers with an older or superseded one, or none.",
		}, []string{"sync"}),
		stateLost: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_sync_state_lost", Help: "1 while a sync only reports, since its stored state was lost.",
		}, []string{"sync"}),
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_sync_waiting_since_timestamp_seconds", Help: "Since when the change of a sync waits to be sent that has waited longest, in Unix time; 0: none waits.",
		}, []string{"sync"}),
		sourceErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_source_errors_total", Help: "Looks at a source that failed.",
		}, []string{"source"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pacer_last_success_timestamp_seconds", Help: "When a pass of a sync last ended without failure, in Unix time.",
		}, []string{"sync"}),
		stream: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pacer_marathon_event_stream_up", Help: "1 while Marathon's events are heard.",
		}),
	}
	return m, register(r, m.all())
}

// register adds what is measured to a registry; nil: to none.
func register(r prometheus.Registerer, all []prometheus.Collector) error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

func (m *metrics) all() []prometheus.Collector {
	return append([]prometheus.Collector{m.passes, m.seconds, m.changes, m.sourceErrors, m.success, m.stream}, m.states()...)
}

// states are the gauges that say how a sync stands.
func (m *metrics) states() []prometheus.Collector {
	return []prometheus.Collector{m.apps, m.conditions, m.suspended, m.rolledBack, m.held, m.stateLost, m.waiting}
}

// ended counts a pass.
func (m *metrics) ended(sync string, last PassStatus) {
	m.passes.WithLabelValues(sync, string(last.Result)).Inc()
	m.seconds.WithLabelValues(sync).Observe(last.Ended.Sub(last.Began).Seconds())
	switch last.Result {
	case PassApplied, PassUnchanged, PassProgressing:
		m.success.WithLabelValues(sync).Set(float64(last.Ended.UnixMilli()) / 1000)
	}
}

// tally is how many apps of a sync stand how.
type tally struct {
	apps       map[axes]int
	conditions map[Condition]int
	waiting    time.Time // see oldestWait
}

type axes struct {
	state  AppState
	health Health
}

func tallyOf(all []AppStatus) tally {
	t := tally{map[axes]int{}, map[Condition]int{}, oldestWait(all)}
	for i := range all {
		t.apps[axes{all[i].State, all[i].Health}]++
		t.conditions[all[i].Condition]++
	}
	return t
}

// stands shows how a sync stands.
func (m *metrics) stands(sync string, t tally, s *store.State) {
	for _, state := range AppStates() {
		for _, health := range append(Healths(), "") {
			m.apps.WithLabelValues(sync, string(state), string(health)).Set(float64(t.apps[axes{state, health}]))
		}
	}
	for _, condition := range Conditions() {
		m.conditions.WithLabelValues(sync, string(condition)).Set(float64(t.conditions[condition]))
	}
	m.suspended.WithLabelValues(sync).Set(one(s.Stopped()))
	m.rolledBack.WithLabelValues(sync).Set(one(s.Pin != nil))
	m.stateLost.WithLabelValues(sync).Set(one(s.Loss.Reports()))
	m.waits(sync, t.waiting)
}

// waits shows since when the change waits that has waited longest.
func (m *metrics) waits(sync string, since time.Time) {
	at := 0.0
	if !since.IsZero() {
		at = float64(since.UnixMilli()) / 1000
	}
	m.waiting.WithLabelValues(sync).Set(at)
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// forget drops the series of a sync that is gone or begins anew.
func (m *metrics) forget(sync string) {
	match := prometheus.Labels{"sync": sync}
	m.passes.DeletePartialMatch(match)
	m.seconds.DeletePartialMatch(match)
	m.changes.DeletePartialMatch(match)
	m.apps.DeletePartialMatch(match)
	m.conditions.DeletePartialMatch(match)
	m.suspended.DeletePartialMatch(match)
	m.rolledBack.DeletePartialMatch(match)
	m.held.DeletePartialMatch(match)
	m.stateLost.DeletePartialMatch(match)
	m.waiting.DeletePartialMatch(match)
	m.success.DeletePartialMatch(match)
}

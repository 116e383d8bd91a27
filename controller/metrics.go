package controller

import (
	"errors"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics is all that the controller measures. The names stand here and in
// docs/metrics.md only, and a test compares the two.
type metrics struct {
	reconciled   *prometheus.CounterVec
	seconds      *prometheus.HistogramVec
	former       former
	changes      *prometheus.CounterVec
	sourceErrors *prometheus.CounterVec
	stream       prometheus.Gauge
	states       []prometheus.Collector
}

// former are the names that metrics had in the release before: shownSync for one
// release more, so that dashboards can follow.
type former struct {
	passes  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// durations are the buckets of a reconciliation, in seconds.
var durations = []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900}

// newMetrics registers what is shownSync. Syncs lists the syncs of whose status
// gauges are made.
func newMetrics(r prometheus.Registerer, syncs func() []*syncer) (*metrics, error) {
	m := &metrics{
		reconciled: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_sync_reconciliations_total", Help: "Reconciliations that ended, by result.",
		}, []string{"sync", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pacer_sync_reconciliation_seconds", Help: "Duration of reconciliations, including waiting for rollouts.",
			Buckets: durations,
		}, []string{"sync"}),
		former: former{
			passes: prometheus.NewCounterVec(prometheus.CounterOpts{
				Name: "pacer_sync_passes_total", Help: "Deprecated: the former name of pacer_sync_reconciliations_total.",
			}, []string{"sync", "result"}),
			seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
				Name: "pacer_sync_pass_seconds", Help: "Deprecated: the former name of pacer_sync_reconciliation_seconds.", Buckets: durations,
			}, []string{"sync"}),
		},
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_changes_total", Help: "Changes that ended, by action and result.",
		}, []string{"sync", "action", "result"}),
		sourceErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pacer_source_errors_total", Help: "Fetches of a source that failed.",
		}, []string{"source"}),
		stream: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pacer_marathon_event_stream_up", Help: "1 while Marathon's event stream is connected.",
		}),
	}
	for _, g := range stateGauges {
		g.syncs, g.desc = syncs, prometheus.NewDesc(g.name, g.help, append([]string{"sync"}, g.labels...), nil)
		m.states = append(m.states, &g)
	}
	return m, register(r, m.all())
}

// register adds what is shownSync to a registry; nil: to none.
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
	return append([]prometheus.Collector{m.reconciled, m.seconds, m.former.passes, m.former.seconds, m.changes, m.sourceErrors, m.stream}, m.states...)
}

// stateGauge says of each sync what its status says, at the moment in which it is
// asked for: the two cannot differ. Of a sync that was not compared yet it says
// nothing.
type stateGauge struct {
	name, help string
	labels     []string // beside sync
	of         func(shown shownSync, set setGauge)

	desc  *prometheus.Desc
	syncs func() []*syncer
}

// shownSync is what is shown of a sync, and when a reconciliation last succeeded.
type shownSync struct {
	sync      *status.Sync
	apps      []status.App // as they are shown
	succeeded time.Time
}

// setGauge takes a value of a gauge, by its labels.
type setGauge func(value float64, labels ...string)

// oneIf is of a gauge that is 1 while something is the case.
func oneIf(is func(s *status.Sync) bool) func(shownSync, setGauge) {
	return func(m shownSync, set setGauge) {
		value := 0.0
		if is(m.sync) {
			value = 1
		}
		set(value)
	}
}

const lastSuccess = "pacer_last_success_timestamp_seconds"

var stateGauges = []stateGauge{
	{name: "pacer_sync_apps", labels: []string{"state", "health"}, of: countApps,
		help: "Apps, pods and groups of a sync, by state and health; groups have no health."},
	{name: "pacer_sync_app_conditions", labels: []string{"condition"}, of: countConditions,
		help: "Apps, pods and groups of a sync, by condition."},
	{name: "pacer_sync_suspended", of: oneIf(func(s *status.Sync) bool { return s.Suspended }),
		help: "1 while a sync is suspended."},
	{name: "pacer_sync_rolled_back", of: oneIf(func(s *status.Sync) bool { return s.RolledBack != nil }),
		help: "1 while a sync is rolled back."},
	{name: "pacer_sync_held", of: oneIf(func(s *status.Sync) bool { return s.Hold != nil }),
		help: "1 while a sync is held at its newest applied revision, because its source answers with an older or superseded one, or none."},
	{name: "pacer_sync_state_lost", of: oneIf(func(s *status.Sync) bool { return s.StateLost != nil }),
		help: "1 while a sync only reports, because its stored state was lost."},
	{name: "pacer_sync_waiting_since_timestamp_seconds", of: func(m shownSync, set setGauge) { set(unixTime(m.sync.OldestWait())) },
		help: "Time since which the oldest unsent change of a sync waits, in Unix time; 0: none waits."},
	{name: lastSuccess, of: func(m shownSync, set setGauge) { set(unixTime(m.succeeded)) },
		help: "When a reconciliation of a sync last ended without failure, or when the sync was started if none has since, in Unix time."},
}

// Describe implements prometheus.Collector.
func (g *stateGauge) Describe(descs chan<- *prometheus.Desc) { descs <- g.desc }

// Collect implements prometheus.Collector.
func (g *stateGauge) Collect(to chan<- prometheus.Metric) {
	for _, y := range g.syncs() {
		var all []prometheus.Metric
		y.view.Measure(func(shown *status.Sync, apps []status.App, succeeded time.Time) {
			if shown.Last == nil && shown.Planned.IsZero() && g.name != lastSuccess {
				return
			}
			g.of(shownSync{shown, apps, succeeded}, func(value float64, labels ...string) {
				all = append(all, prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, value, append([]string{y.spec.Name}, labels...)...))
			})
		})
		for _, metric := range all {
			to <- metric
		}
	}
}

// ReconciliationEnded implements reconcile.Observer.
func (m *metrics) ReconciliationEnded(e reconcile.Ended) {
	result, took := string(e.Reconciliation.Result), e.Reconciliation.Ended.Sub(e.Reconciliation.Began).Seconds()
	m.reconciled.WithLabelValues(e.Sync, result).Inc()
	m.seconds.WithLabelValues(e.Sync).Observe(took)
	m.former.passes.WithLabelValues(e.Sync, result).Inc()
	m.former.seconds.WithLabelValues(e.Sync).Observe(took)
}

// ChangesBegan implements reconcile.Observer: what ends is counted.
func (m *metrics) ChangesBegan(reconcile.Began) {}

// ChangeEnded implements reconcile.Observer.
func (m *metrics) ChangeEnded(sync string, o apply.Outcome) {
	m.changes.WithLabelValues(sync, string(o.Action), string(o.Result)).Inc()
}

func countApps(m shownSync, set setGauge) {
	type axes struct {
		state  status.State
		health status.Health
	}
	n := map[axes]int{}
	for i := range m.apps {
		n[axes{m.apps[i].State, m.apps[i].Health}]++
	}
	for _, state := range status.States() {
		for _, health := range append(status.Healths(), "") {
			set(float64(n[axes{state, health}]), string(state), string(health))
		}
	}
}

func countConditions(m shownSync, set setGauge) {
	n := map[status.Condition]int{}
	for i := range m.apps {
		n[m.apps[i].Condition]++
	}
	for _, condition := range status.Conditions() {
		set(float64(n[condition]), string(condition))
	}
}

// unixTime is a time in seconds; 0: none.
func unixTime(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// forget drops the counters of a sync that is gone or begins again.
func (m *metrics) forget(sync string) {
	match := prometheus.Labels{"sync": sync}
	m.reconciled.DeletePartialMatch(match)
	m.seconds.DeletePartialMatch(match)
	m.former.passes.DeletePartialMatch(match)
	m.former.seconds.DeletePartialMatch(match)
	m.changes.DeletePartialMatch(match)
}

package local

import (
	"strconv"
	"time"

	"github.com/pacer-gitops/pacer/controller/local/executor"
)

// The labels by which an app or pod asks for failures of its tasks.
const (
	labelNeverStart   = "local.never-start"   // "true": tasks stay in TASK_STAGING
	labelFailAtOnce   = "local.fail-at-once"  // "true": tasks fail as soon as they start
	labelFailAfter    = "local.fail-after"    // seconds: running tasks are ended as failed
	labelNeverHealthy = "local.never-healthy" // "true": each health check fails
	labelSlowToDie    = "local.slow-to-die"   // seconds: kills come that much later
)

// labelSeconds is the value of a label in seconds; 0 where it is none.
func (s *spec) labelSeconds(name string) time.Duration {
	f, err := strconv.ParseFloat(s.labels()[name], 64)
	if err != nil || f <= 0 {
		return 0
	}
	return time.Duration(f * float64(time.Second))
}

func slowToDie(s *spec) time.Duration { return s.labelSeconds(labelSlowToDie) }

// simulate does what a label asks for in place of a launch, and says whether
// that is all. Failures that come later are armed beside the real launch.
func (m *Marathon) simulate(t *task) bool {
	s := t.instance.spec
	switch {
	case s.labels()[labelNeverStart] == "true":
		t.simulated = true
		return true
	case s.labels()[labelFailAtOnce] == "true":
		t.simulated = true
		m.reports.add(executor.Update{TaskID: t.id, State: executor.Starting, Timestamp: time.Now()})
		m.reports.add(executor.Update{TaskID: t.id, State: executor.Failed, Timestamp: time.Now(),
			Message: "the label " + labelFailAtOnce + " says so"})
		return true
	}
	if wait := s.labelSeconds(labelFailAfter); wait > 0 {
		m.after(wait, func() { m.reports.push(func(m *Marathon) { m.failTask(t) }) })
	}
	return false
}

func (m *Marathon) failTask(t *task) {
	if t.over() || t.killing {
		return
	}
	t.blame = "the label " + labelFailAfter + " says so"
	m.executor.Kill(t.id)
}

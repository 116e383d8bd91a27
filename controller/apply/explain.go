package apply

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// Explain says in one sentence why an app or a pod is not up, as a person needs
// it who must act. It is empty where it is up, and says so where Marathon could
// not be asked.
func (a *Applier) Explain(ctx context.Context, id string) string {
	l, err := a.read(ctx, id)
	if err != nil {
		if marathon.KindOf(err) == marathon.KindNotFound {
			return "Marathon does not have it"
		}
		return "cause unknown: " + err.Error()
	}
	if ok, _ := l.converged(nil); ok {
		return ""
	}
	e := a.evidence(ctx)
	if ok, _ := l.converged(e.deployments); ok {
		return ""
	}
	return e.explain(id, l)
}

// read reads an app, or a pod where there is no app of that id.
func (a *Applier) read(ctx context.Context, id string) (live, error) {
	app, err := a.m.App(ctx, id)
	if err == nil {
		return live{app: &app}, nil
	}
	if marathon.KindOf(err) != marathon.KindNotFound {
		return live{}, err
	}
	pod, err := a.m.Pod(ctx, id)
	if err != nil {
		return live{}, err
	}
	return live{pod: &pod}, nil
}

// evidence is what tells why something is not up, beside the app itself. What
// could not be read is left out: an explanation is better short than missing.
type evidence struct {
	queue       []marathon.QueueItem
	deployments []marathon.Deployment
	now         time.Time
	words       func(live) string // the last ones of the task that failed; nil: not known
	seen        *sightings        // nil: nothing is remembered
}

func (a *Applier) evidence(ctx context.Context) evidence {
	e := evidence{now: time.Now(), seen: &a.seen}
	e.words = func(l live) string {
		if time.Since(e.now) > wordsTime {
			return "" // agents that do not answer must not hold up what goes on
		}
		return a.words.of(ctx, l.status().LastTaskFailure, l)
	}
	var err error
	if e.queue, err = a.m.Queue(ctx); err != nil {
		a.options.Log.Debug("cannot read the queue", "error", err)
	}
	if e.deployments, err = a.m.Deployments(ctx); err != nil {
		a.options.Log.Debug("cannot read deployments", "error", err)
	}
	return e
}

// explanation is why something is not up: the counts, and what follows them.
type explanation struct{ counts, why string }

func (x explanation) String() string { return x.counts + x.why }

func (e evidence) explain(id string, l live) string { return e.explained(id, l).String() }

// explained finds the cause that a person can do most about. What comes first in the
// life of a task comes first here, but for what keeps others from being launched:
//
//	a task of this configuration failed, and not all run
//	tasks that are unreachable or do not end; offers that are refused; and, after these, tasks that are staged
//	a health check that fails
//	a container of a pod that ended or says something
//	tasks that are staged
//	health checks that have not passed yet; readiness checks
//	others of its deployment that come first
//	offers that are being taken
//	tasks that are too many
func (e evidence) explained(id string, l live) explanation {
	s, n := l.status(), l.instances()
	head := Counts(s, n, false)
	counted := head
	if checked(l) && s.Running > 0 {
		head = Counts(s, n, true)
	}
	queued := e.queued(id)
	if w := e.failure(l, s); w != "" {
		return explanation{head, ": " + w}
	}
	why := []string{e.unreachable(l), e.dying(l), ""}
	if queued != marathon.OffersTaken {
		why[2] = queued
	}
	if w := joined(why...); w != "" {
		return explanation{head, ": " + joined(w, e.staging(l))}
	}
	if finding := failing(l); finding != "" {
		return explanation{counted, fmt.Sprintf(", but %s (%d healthy)", finding, s.Healthy)}
	}
	for _, why := range []func() string{
		func() string { return unhealthyPod(l.pod) },
		func() string { return e.staging(l) },
		func() string { return unproven(l) },
		func() string { return e.unready(id) },
		func() string { return e.turn(id) },
		func() string { return queued },
		func() string { return tooMany(s, n) },
	} {
		if w := why(); w != "" {
			return explanation{head, ": " + w}
		}
	}
	return explanation{counts: head}
}

// joined is the texts that say something, in one.
func joined(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(t string) bool { return t == "" }), "; ")
}

// Counts says how many tasks run, as explanations begin.
func Counts(s marathon.Status, instances int, checked bool) string {
	text := fmt.Sprintf("%d of %d running", s.Running, instances)
	if s.Outdated > 0 {
		text += fmt.Sprintf(" (%d of an older version)", s.Outdated)
	}
	if checked {
		text += fmt.Sprintf(", %d healthy", s.Healthy)
	}
	return text
}

func checked(l live) bool {
	return l.app != nil && len(l.app.Definition.HealthChecks) > 0 || l.pod != nil
}

var exitStatus = regexp.MustCompile(`(?i)^(?:command|container|task)? ?exited with (?:status|code) (\d+)`)

// exitHints say what an exit code nearly always means.
var exitHints = map[int]string{
	126: "the command is not executable",
	127: "the command is not found",
	137: "killed (usually out of memory)",
	139: "crashed with a segmentation fault",
}

// failure tells how the last task ended, if that was a task of the present
// configuration.
func (e evidence) failure(l live, s marathon.Status) string {
	f := s.PresentFailure()
	if f == nil || s.Running >= l.instances() && s.Outdated == 0 {
		return ""
	}
	return "the last task ended" + e.ended(f, l)
}

// ended says where, when and how a task ended.
func (e evidence) ended(f *marathon.TaskFailure, l live) string {
	where := ""
	if f.Host != "" {
		where = " on " + f.Host
	}
	if !f.Timestamp.IsZero() { // the time of day: what is said here is stored, and read much later
		where += " at " + timeOfDay(f.Timestamp)
	}
	return where + ": " + ending(f, func() string {
		if e.words == nil {
			return ""
		}
		return e.words(l)
	})
}

// Ending says in a few words how a task ended: "exit code 127: the command is
// not found".
func Ending(f *marathon.TaskFailure) string { return ending(f, func() string { return "" }) }

// ending is Ending with the last words of the task, where Marathon has none.
func ending(f *marathon.TaskFailure, words func() string) string {
	text := strings.TrimSpace(f.Message)
	if m := exitStatus.FindStringSubmatch(text); m != nil {
		code, _ := strconv.Atoi(m[1])
		rest := strings.Trim(text[len(m[0]):], " .:\n")
		if rest == "" {
			rest = cmp.Or(words(), exitHints[code])
		}
		text = "exit code " + m[1]
		if rest != "" {
			text += ": " + rest
		}
	}
	return strings.Join(strings.Fields(cmp.Or(text, f.State)), " ")
}

// queued tells why the launch queue holds it.
func (e evidence) queued(id string) string {
	for _, q := range e.queue {
		if q.ID == id {
			return q.Why(e.now)
		}
	}
	return ""
}

// failing tells what a health check finds that fails.
func failing(l live) string {
	if l.app == nil || len(l.app.Definition.HealthChecks) == 0 {
		return ""
	}
	for _, t := range l.app.Tasks {
		for _, h := range t.Health {
			if !h.Alive && !unasked(h) {
				return checkName(l.app.Definition) + " " + checkFinding(h)
			}
		}
	}
	return ""
}

// unasked tells of a check that has said nothing yet, or only within the grace
// period, whose failures do not count.
func unasked(h marathon.HealthResult) bool {
	return !h.Alive && h.ConsecutiveFailures == 0 && h.LastFailureCause == ""
}

// unproven tells for how many tasks no health check has said anything yet.
func unproven(l live) string {
	if l.app == nil || len(l.app.Definition.HealthChecks) == 0 {
		return ""
	}
	silent := 0
	for _, t := range l.app.Tasks {
		if t.State == taskKilling || t.State == taskUnreachable {
			continue
		}
		if len(t.Health) == 0 || slices.ContainsFunc(t.Health, unasked) {
			silent++
		}
	}
	if silent == 0 {
		return ""
	}
	return fmt.Sprintf("%s has not passed yet for %d (grace period %d s)", checkName(l.app.Definition), silent, l.app.Definition.HealthChecks[0].Grace())
}

func checkName(a *manifests.App) string {
	for _, h := range a.HealthChecks {
		if h.Path != nil {
			return *h.Path
		}
	}
	return "its health check"
}

// checkFinding words Marathon's cause, which for HTTP is the status line.
func checkFinding(h marathon.HealthResult) string {
	cause := strings.Join(strings.Fields(h.LastFailureCause), " ")
	switch {
	case cause == "":
		return fmt.Sprintf("fails, %d times in a row", h.ConsecutiveFailures)
	case len(cause) >= 3 && strings.Trim(cause[:3], "0123456789") == "":
		return "answers " + cause
	}
	return "fails: " + cause
}

// unhealthyPod tells what the containers of a pod say.
func unhealthyPod(p *marathon.Pod) string {
	if p == nil {
		return ""
	}
	for _, i := range p.Instances {
		for _, c := range i.Containers {
			if c.Termination != nil && c.Termination.Message != "" {
				return fmt.Sprintf("container %s ended: %s", c.Name, c.Termination.Message)
			}
			if c.Message != "" && i.Status != "STABLE" {
				return fmt.Sprintf("container %s: %s", c.Name, c.Message)
			}
		}
		if i.Message != "" {
			return i.Message
		}
	}
	return ""
}

// unready tells what the readiness check of a rollout finds.
func (e evidence) unready(id string) string {
	for _, d := range e.deployments {
		for _, a := range d.CurrentActions {
			if a.ID() != id {
				continue
			}
			for _, r := range a.Readiness {
				if r.Ready {
					continue
				}
				if r.LastResponse != nil {
					return fmt.Sprintf("readiness check %s answers %d", r.Name, r.LastResponse.Status)
				}
				return fmt.Sprintf("readiness check %s has not been answered yet", r.Name)
			}
		}
	}
	return ""
}

// turn tells for whom it waits in its own deployment.
func (e evidence) turn(id string) string {
	for _, d := range e.deployments {
		if !slices.Contains(d.Affected(), id) || len(d.CurrentActions) == 0 {
			continue
		}
		var others []string
		for _, a := range d.CurrentActions {
			if a.ID() == id {
				return ""
			}
			others = append(others, a.Action+" "+a.ID())
		}
		if len(others) > 3 {
			others = append(others[:3], fmt.Sprintf("and %d more", len(d.CurrentActions)-3))
		}
		return fmt.Sprintf("waiting for earlier steps: deployment %s is at step %d of %d: %s", d.ID, d.CurrentStep, d.TotalSteps, strings.Join(others, ", "))
	}
	return ""
}

func tooMany(s marathon.Status, n int) string {
	if s.Running > n && s.Outdated == 0 {
		return fmt.Sprintf("%d surplus, which Marathon will kill", s.Running-n)
	}
	return ""
}

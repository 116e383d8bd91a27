package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report/comment"
	"github.com/pacer-gitops/pacer/manifests"
)

const (
	// pendingAfter is how long a plan may take before its status says that it is made.
	pendingAfter = 2 * time.Second
	// silentFailures is how often in a row a plan may fail before that is said: what is
	// away for a moment is not worth a comment.
	silentFailures = 3
)

// draft is what is to be said of a pull request.
type draft struct {
	comment comment.Comment
	// statuses are those of the head, one for each sync that is touched.
	statuses    []forge.Status
	annotations map[string][]forge.Annotation // by sync
	// silent: nothing is said, whatever is there already.
	silent bool
	// err is why it is to be drafted again soon; nil: it holds until something changes.
	err error
}

// touched lists the syncs that the pull request touches, sorted.
func (d *draft) touched() []string {
	var names []string
	for _, p := range d.comment.Parts {
		names = append(names, p.Sync)
	}
	return names
}

// planContext is the context of the status of a plan.
func planContext(sync string) string { return "pacer/" + sync + "/plan" }

// draft plans a pull request for all syncs that it touches.
func (w *worker) draft(ctx context.Context, p *pull, m comment.Memory) (draft, error) {
	s := w.configured()
	d := draft{annotations: map[string][]forge.Annotation{}, comment: comment.Comment{
		Name: w.name, Base: comment.Side{Branch: p.at.Base}, Head: comment.Side{Branch: p.at.Head, Commit: p.at.HeadCommit},
		FileURL: func(file string, line int) string { return w.source.Forge.FileURL(p.at, file, line) }, Memory: m,
	}}
	if s.url != "" {
		d.comment.URL = s.url + PullPath(w.name, p.at.Number)
	}
	touched, err := touchedBy(p.result, s.syncs)
	if err != nil || len(touched) == 0 {
		return d, err
	}
	d.comment.Base.Commit, d.comment.Merge, d.comment.Conflicts = p.result.base.Revision.ID, p.result.how, p.result.conflicts
	switch gate := w.gate(p.at, m); gate {
	case gateSilent:
		d.silent = true
		return d, nil
	case gateWait, gateAgain:
		return w.wait(ctx, p, d, touched, gate), nil
	case gatePlan:
		if p.at.Fork {
			d.comment.Memory.Labelled = p.at.HeadCommit
		}
	}
	for _, y := range touched {
		part := comment.Part{Sync: y.Name, Marathon: y.Marathon, URL: d.comment.URL}
		if p.result.tree != nil {
			part.Plan, err = w.preview(ctx, p, s.planner, y.Name)
			if errors.Is(err, controller.ErrNoSync) {
				continue // the configuration has just changed: it is planned again for that
			}
			if ctx.Err() != nil {
				return d, context.Cause(ctx)
			}
			if err != nil {
				part.Error, d.err = err.Error(), fmt.Errorf("plan pull request %d for sync %s: %w", p.at.Number, y.Name, err)
			}
		}
		d.comment.Parts = append(d.comment.Parts, part)
		d.statuses = append(d.statuses, planStatus(p, part))
		d.annotations[y.Name] = annotationsOf(part.Plan.Problems)
	}
	if d.err == nil {
		p.failures = 0
	} else if p.failures++; p.failures <= silentFailures || p.draft.isOf(p) {
		return d, d.err
	}
	return d, nil
}

// isOf reports whether a draft holds a plan of the commits that a pull request is at.
func (d *draft) isOf(p *pull) bool {
	c := &d.comment
	return len(c.Parts) > 0 && d.err == nil && c.Waits == "" && c.Head.Commit == p.at.HeadCommit && p.result != nil && c.Base.Commit == p.result.base.Revision.ID
}

// touchedBy lists the syncs whose path a pull request changes; no result: none.
func touchedBy(r *result, syncs []Sync) (touched []Sync, err error) {
	if r == nil {
		return nil, nil
	}
	for _, y := range syncs {
		touches, err := r.touches(y.Path)
		if err != nil {
			return nil, err
		}
		if touches {
			touched = append(touched, y)
		}
	}
	slices.SortFunc(touched, func(a, b Sync) int { return strings.Compare(a.Name, b.Name) })
	return touched, nil
}

// gate is whether a pull request may be planned.
type gate string

const (
	gatePlan   gate = "plan"
	gateSilent gate = "silent" // and nothing is said of it
	gateWait   gate = "wait"   // for the label
	gateAgain  gate = "again"  // for the label, which was set for other commits and is taken off
)

// gate decides whether a pull request may be planned: a plan shows what Marathon holds,
// and the author of a fork may be anybody.
//
//	of a fork   forks     label   head at which it was seen   head seen without it   verdict
//	no          any       any     any                         any                    plan
//	yes         off       any     any                         any                    silent
//	yes         labelled  no      any                         any                    wait
//	yes         labelled  yes     this one                    any                    plan
//	yes         labelled  yes     none                        this one, or none      plan
//	yes         labelled  yes     none                        another one            again
//	yes         labelled  yes     another one                 any                    again
//
// The memory is in the comment, so that it outlives this process. Where no comments are
// written there is none, and forks are not planned.
func (w *worker) gate(p forge.Pull, m comment.Memory) gate {
	switch {
	case !p.Fork:
		return gatePlan
	case !w.source.Forks || !w.source.Comments:
		return gateSilent
	case !slices.Contains(p.Labels, w.source.Label):
		return gateWait
	case m.Labelled == p.HeadCommit:
		return gatePlan
	case m.Labelled == "" && (m.Seen == "" || m.Seen == p.HeadCommit):
		return gatePlan
	}
	return gateAgain
}

// wait is a draft that says that a pull request waits for its label.
func (w *worker) wait(ctx context.Context, p *pull, d draft, touched []Sync, g gate) draft {
	label := w.source.Label
	d.comment.Waits = fmt.Sprintf("It comes from a fork: it is planned once a maintainer sets the label %s.", label)
	if g == gateAgain {
		d.comment.Waits = fmt.Sprintf("It comes from a fork, and has new commits since the label %s was set: it is planned once a maintainer has reviewed them and sets the label again.", label)
		d.err = w.takeOff(ctx, p.at.Number)
	}
	if g == gateAgain && d.err == nil { // the next list that has the label has a new one
		w.mu.Lock()
		p.listed.Labels = nil
		w.mu.Unlock()
	}
	if d.err == nil { // else the label that is there would count for these commits
		d.comment.Memory.Labelled, d.comment.Memory.Seen = "", p.at.HeadCommit
	}
	for _, y := range touched {
		d.comment.Parts = append(d.comment.Parts, comment.Part{Sync: y.Name, Marathon: y.Marathon})
		d.statuses = append(d.statuses, forge.Status{Context: planContext(y.Name), State: forge.Pending, Description: "waits for the label " + label, URL: d.comment.URL})
	}
	return d
}

// takeOff takes the label off a pull request, and makes sure of that.
func (w *worker) takeOff(ctx context.Context, n int) error {
	if err := w.source.Forge.RemoveLabel(ctx, n, w.source.Label); err != nil {
		return fmt.Errorf("take the label %s off pull request %d: %w", w.source.Label, n, err)
	}
	at, err := w.source.Forge.Pull(ctx, n)
	if err == nil && slices.Contains(at.Labels, w.source.Label) {
		err = fmt.Errorf("the label %s is still set on pull request %d though it was taken off", w.source.Label, n)
	}
	return err
}

// preview plans a pull request for a sync, and has the status say so where that takes
// long.
func (w *worker) preview(ctx context.Context, p *pull, planner Planner, sync string) (plan.Plan, error) {
	type made struct {
		plan plan.Plan
		err  error
	}
	done := make(chan made, 1)
	go func() {
		made := made{}
		made.plan, made.err = planner.Preview(ctx, sync, p.result.tree)
		done <- made
	}()
	timer := time.NewTimer(pendingAfter)
	defer timer.Stop()
	select {
	case m := <-done:
		return slim(m.plan), m.err
	case <-timer.C:
	}
	err := w.setStatuses(ctx, p.at.HeadCommit, []forge.Status{{Context: planContext(sync), State: forge.Pending, Description: "is being planned"}})
	m := <-done
	return slim(m.plan), cmp.Or(m.err, err)
}

// planStatus is the status of a plan:
//
//	conflicts with the base            failure
//	it cannot be planned               pending: that is nothing of the pull request
//	errors in manifests                failure
//	otherwise                          success
func planStatus(p *pull, part comment.Part) forge.Status {
	s := forge.Status{Context: planContext(part.Sync), URL: part.URL}
	errs, _ := manifests.CountProblems(part.Plan.Problems)
	switch {
	case p.result.tree == nil:
		s.State, s.Description = forge.Failure, comment.ConflictsText(p.at.Base, p.result.conflicts)
	case part.Error != "":
		s.State, s.Description = forge.Pending, "cannot be planned yet: "+part.Error
	case errs > 0:
		s.State, s.Description = forge.Failure, comment.StatusText(part.Plan)
	default:
		s.State, s.Description = forge.Success, comment.StatusText(part.Plan)
	}
	return s
}

// annotationsOf are the problems that have a line.
func annotationsOf(problems []manifests.Problem) []forge.Annotation {
	var all []forge.Annotation
	for _, p := range problems {
		if p.File != "" && p.Line > 0 {
			all = append(all, forge.Annotation{File: p.File, Line: p.Line, Column: p.Column, Warning: p.Severity == manifests.SeverityWarning, Message: p.Message})
		}
	}
	return all
}

// find reads the comment on a pull request; nil: there is none.
func (w *worker) find(ctx context.Context, n int) (*forge.Comment, comment.Memory, error) {
	if !w.source.Comments {
		return nil, comment.Memory{}, nil
	}
	found, err := w.source.Forge.FindComment(ctx, n, comment.Marker(w.name))
	if err != nil || found == nil {
		return nil, comment.Memory{}, err
	}
	m, _ := comment.ParseMemory(found.Body)
	return found, m, nil
}

// say writes what differs from what is there. What is denied keeps nothing else from
// being written.
func (w *worker) say(ctx context.Context, p *pull, found *forge.Comment) error {
	if p.draft.silent {
		return nil
	}
	var denied []error
	for _, say := range []func() error{
		func() error { return w.annotateAll(ctx, p) },
		func() error { return w.comment(ctx, p, found) },
		func() error { return w.sayStatuses(ctx, p) },
	} {
		switch err := say(); {
		case errors.Is(err, forge.ErrDenied):
			denied = append(denied, err)
		case err != nil:
			return err
		}
	}
	return errors.Join(denied...)
}

// comment writes the one comment. Where no sync is touched there is none, unless it is
// there already.
func (w *worker) comment(ctx context.Context, p *pull, found *forge.Comment) error {
	if !w.source.Comments || found == nil && len(p.draft.comment.Parts) == 0 {
		return nil
	}
	text := p.draft.comment.Render(w.source.Forge.MaxComment())
	if found != nil {
		if sameText(found.Body, text) {
			return nil
		}
		err := w.source.Forge.EditComment(ctx, p.at.Number, found.ID, text)
		if !errors.Is(err, forge.ErrNotFound) {
			return err
		}
	}
	_, err := w.source.Forge.CreateComment(ctx, p.at.Number, text) // a comment that was deleted is written again
	return err
}

// sameText reports whether a comment is as it was written: forges change the ends of
// lines, and the end of it.
func sameText(there, text string) bool {
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "\r\n", "\n")) }
	return plain(there) == plain(text)
}

// sayStatuses sets the statuses of the head. One of a sync that the pull request no
// longer touches says so.
func (w *worker) sayStatuses(ctx context.Context, p *pull) error {
	if !w.source.Statuses || len(p.draft.statuses) == 0 && p.result == nil {
		return nil
	}
	return w.setStatuses(ctx, p.at.HeadCommit, p.draft.statuses, w.planContexts()...)
}

// planContexts lists the contexts of all plans of the source.
func (w *worker) planContexts() (all []string) {
	for _, y := range w.configured().syncs {
		all = append(all, planContext(y.Name))
	}
	return all
}

// setStatuses sets the statuses of a commit that differ from what it has. Of the
// contexts that are given, those that the commit has and wanted lacks are said to have
// no changes.
func (w *worker) setStatuses(ctx context.Context, commit string, wanted []forge.Status, contexts ...string) error {
	if !w.source.Statuses || commit == "" {
		return nil
	}
	there, err := w.source.Forge.Statuses(ctx, commit)
	if err != nil {
		return err
	}
	wanted = slices.Clone(wanted)
	for _, s := range there {
		isWanted := slices.ContainsFunc(wanted, func(w forge.Status) bool { return w.Context == s.Context })
		if !isWanted && slices.Contains(contexts, s.Context) {
			wanted = append(wanted, forge.Status{Context: s.Context, State: forge.Success, Description: "no changes"})
		}
	}
	for _, s := range wanted {
		if slices.ContainsFunc(there, func(t forge.Status) bool { return sameStatus(t, s) }) {
			continue
		}
		if err := w.source.Forge.SetStatus(ctx, commit, s); err != nil {
			return fmt.Errorf("set the status %s: %w", s.Context, err)
		}
	}
	return nil
}

// sameStatus reports whether a status is as it was set: forges cut descriptions.
func sameStatus(there, s forge.Status) bool {
	cut := strings.TrimRight(there.Description, ".…")
	return there.Context == s.Context && there.State == s.State && (there.Description == s.Description || cut != "" && strings.HasPrefix(s.Description, cut)) && there.URL == s.URL
}

// annotateAll shows problems at their lines, where they are not shown already.
func (w *worker) annotateAll(ctx context.Context, p *pull) error {
	for _, part := range p.draft.comment.Parts {
		all := p.draft.annotations[part.Sync]
		before, known := p.annotated[part.Sync]
		if known && before.head == p.at.HeadCommit && reflect.DeepEqual(before.all, all) {
			continue
		}
		if _, err := w.source.Forge.Annotate(ctx, p.at, "pacer/"+part.Sync, all); err != nil {
			return fmt.Errorf("annotate: %w", err)
		}
		p.annotated[part.Sync] = annotated{p.at.HeadCommit, all}
	}
	return nil
}

// annotated is what is annotated for a sync.
type annotated struct {
	head string
	all  []forge.Annotation
}

package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report/comment"
)

// occurrence is one thing that happens while pull requests are reported.
type occurrence struct {
	Kind  string
	Pull  int
	File  string
	Text  string
	Fault fault
}

var occurrences = []string{
	"open", "push", "rebase", "close", "reopen", "merge", "base moves", "base is reset", "reconcile", "merge refs", "comment deleted", "somebody comments",
	"fault", "fault", "heal", "Marathon down", "Marathon up", "restart", "another leader", "webhook", "time", "minutes",
}

func drawOccurrences(t *rapid.T) []occurrence {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) occurrence {
		return occurrence{
			Kind: rapid.SampledFrom(occurrences).Draw(t, "kind"), Pull: rapid.IntRange(1, 4).Draw(t, "pull"),
			File:  rapid.SampledFrom([]string{"shop/a", "shop/b", "blog/a", "docs/readme"}).Draw(t, "file"),
			Text:  rapid.SampledFrom([]string{"one", "two", "three", "bad", ""}).Draw(t, "text"),
			Fault: rapid.SampledFrom(faults).Draw(t, "fault"),
		}
	}), 1, 30).Draw(t, "occurrences")
}

// TestWhateverHappensThereIsOneCommentWithThePresentPlan: in any order of pushes,
// merges, outages and changes of leader, once all is well again each open pull request
// that touches a sync has exactly one comment, and that and the statuses of its head
// say the plan of the present commits.
func TestWhateverHappensThereIsOneCommentWithThePresentPlan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := drawOccurrences(rt)
		var fault string
		synctest.Test(t, func(t *testing.T) { fault = play(t, script) })
		if fault != "" {
			rt.Fatal(fault)
		}
	})
}

// stage is a hub and the replicas that report to it.
type stage struct {
	*hub
	t       *testing.T
	replica *Reporter // that leads
	end     func()
}

func newStage(t *testing.T, h *hub) *stage {
	s := &stage{hub: h, t: t}
	s.replica = s.newReplica()
	s.lead()
	return s
}

func (s *stage) source() *Source {
	return &Source{Forge: s.hub, Commits: s.hub, Merge: s.hub.mergeSnapshots, Branch: func() string { return "main" }, Interval: time.Minute, Comments: true, Statuses: true, Forks: true, Label: "pacer/plan"}
}

func (s *stage) newReplica() *Reporter {
	return New(Options{Planner: s.hub, URL: "https://pacer.example", Sources: map[string]*Source{"repo": s.source()}, Syncs: []Sync{{Name: "shop", Source: "repo", Path: "shop"}, {Name: "blog", Source: "repo", Path: "blog"}}})
}

// lead has the replica lead until end is called.
func (s *stage) lead() {
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan struct{})
	r := s.replica
	go func() { defer close(done); r.Run(ctx) }()
	s.end = func() { cancel(); <-done }
	synctest.Wait()
}

// reconciled has all syncs reconciled, and the leader told.
func (s *stage) reconciled() {
	for _, sync := range []string{"shop", "blog"} {
		s.replica.ReconciliationEnded(s.hub.reconcile(sync))
	}
}

func play(t *testing.T, script []occurrence) string {
	s := newStage(t, newHub(map[string]string{"shop/a": "zero", "shop/b": "zero", "blog/a": "zero", "docs/readme": "zero"}))
	defer func() { s.end() }()
	for _, o := range script {
		s.suffer(o)
		synctest.Wait()
	}
	s.change(func() { s.fault, s.marathon = faultNone, nil })
	time.Sleep(time.Hour) // longer than a rate limit and every back-off
	s.reconciled()
	time.Sleep(time.Hour)
	synctest.Wait()
	return s.examine()
}

func (s *stage) suffer(o occurrence) {
	switch o.Kind {
	case "restart":
		s.end()
		s.replica = s.newReplica()
		s.lead()
		return
	case "another leader":
		s.end()
		s.lead()
		return
	case "reconcile":
		s.reconciled()
		return
	case "webhook":
		s.replica.Request("repo")
		return
	case "time":
		time.Sleep(1500 * time.Millisecond)
		return
	case "minutes":
		time.Sleep(7 * time.Minute)
		return
	}
	s.change(func() { s.happens(o) })
}

// happens is what people and faults do, under the hub's lock.
func (s *stage) happens(o occurrence) {
	h := s.hub
	switch o.Kind {
	case "fault":
		h.fault = o.Fault
	case "heal":
		h.fault = faultNone
	case "Marathon down":
		h.marathon = errors.New("cannot read Marathon")
	case "Marathon up":
		h.marathon = nil
	case "open":
		if len(h.pulls) < 4 {
			h.open(o.File, o.Text)
		}
	case "base moves":
		h.branch = h.add(h.edited(h.branch, o.File, o.Text), h.branch)
	case "merge refs":
		for _, p := range h.pulls {
			h.refreshMerge(p)
		}
	case "base is reset":
		if parents := h.commits[h.branch].parents; len(parents) > 0 {
			h.branch = parents[0]
		}
	}
	p := h.pulls[o.Pull]
	if p == nil {
		return
	}
	open := p.State == forge.PullOpen
	switch {
	case o.Kind == "push" && open:
		p.HeadCommit = h.add(h.edited(p.HeadCommit, o.File, o.Text), p.HeadCommit)
	case o.Kind == "rebase" && open:
		p.HeadCommit = h.add(h.edited(h.branch, o.File, o.Text), h.branch)
	case o.Kind == "close" && open:
		p.State = forge.PullClosed
	case o.Kind == "reopen" && p.State == forge.PullClosed:
		p.State = forge.PullOpen
	case o.Kind == "merge" && open:
		tree, conflicts := h.merge(h.shared(h.branch, p.HeadCommit), h.branch, p.HeadCommit)
		if len(conflicts) > 0 {
			return
		}
		h.branch = h.add(tree, h.branch, p.HeadCommit)
		p.State, p.MergedAs, p.MergedAt = forge.PullMerged, h.branch, time.Now()
	case o.Kind == "comment deleted": // of which the forge tells nothing
		p.comments = slices.DeleteFunc(p.comments, func(c hubComment) bool { return c.author == bot })
	case o.Kind == "somebody comments":
		p.comments = append(p.comments, hubComment{h.nextID(), "ada", "I saw " + comment.Marker("repo")})
	}
}

// examine says what is wrong with what is said; empty: nothing.
func (s *stage) examine() string {
	for n, p := range s.pulls {
		if p.State != forge.PullOpen {
			continue
		}
		if wrong := s.examinePull(p); wrong != "" {
			return fmt.Sprintf("pull request %d: %s", n, wrong)
		}
	}
	if len(s.replica.Status()) != 1 || s.replica.Status()[0].Error != "" {
		return fmt.Sprintf("status: %+v", s.replica.Status())
	}
	return ""
}

func (s *stage) examinePull(p *hubPull) string {
	var ours []string
	for _, c := range p.comments {
		if c.author == bot {
			ours = append(ours, c.body)
		}
	}
	base := s.shared(s.branch, p.HeadCommit)
	tree, conflicts := s.merge(base, s.branch, p.HeadCommit)
	before := s.commits[s.branch].files
	if len(conflicts) > 0 {
		before, tree = s.commits[base].files, s.commits[p.HeadCommit].files
	}
	touched := 0
	for _, sync := range []string{"shop", "blog"} {
		was, _ := contentAt(snapshotOf(&commit{files: before}), sync)
		is, _ := contentAt(snapshotOf(&commit{files: tree}), sync)
		if was == is {
			continue
		}
		touched++
		if len(ours) != 1 {
			return fmt.Sprintf("%d comments, though it touches %s", len(ours), sync)
		}
		made, state := s.plan(sync, p.HeadCommit, tree), forge.Success
		wants := []string{p.HeadCommit[:8], s.branch[:8], sync}
		switch {
		case len(conflicts) > 0:
			state = forge.Failure
			wants = append(wants, conflicts...)
		case len(made.Problems) > 0:
			state = forge.Failure
		default:
			wants = append(wants, plan.Verdict(made))
		}
		for _, c := range made.Changes {
			if len(conflicts) == 0 {
				wants = append(wants, c.ID, c.Reason)
			}
		}
		for _, want := range wants {
			if !strings.Contains(ours[0], want) {
				return fmt.Sprintf("its comment lacks %q:\n%s", want, ours[0])
			}
		}
		i := slices.IndexFunc(s.statuses[p.HeadCommit], func(t forge.Status) bool { return t.Context == "pacer/"+sync+"/plan" })
		if i < 0 || s.statuses[p.HeadCommit][i].State != state {
			return fmt.Sprintf("the statuses of its head are %+v; expected %s of %s", s.statuses[p.HeadCommit], state, sync)
		}
	}
	switch {
	case touched == 0 && len(ours) > 1:
		return fmt.Sprintf("%d comments, though it touches nothing", len(ours))
	case touched == 0 && len(ours) == 1 && strings.Contains(ours[0], p.HeadCommit[:8]):
		return "its comment has a plan though it touches nothing:\n" + ours[0]
	}
	return ""
}

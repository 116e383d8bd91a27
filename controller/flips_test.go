package controller

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// watched is what the status has said of an app, one line for each change of it.
type watched struct {
	t     *testing.T
	s     *storm
	id    string
	lines []string
	since time.Time
}

// newWatched watches an app from now on.
func (s *storm) newWatched(t *testing.T, id string) *watched { return &watched{t: t, s: s, id: id} }

// watch asks for the status ten times a second. Since may only change with what it
// is the beginning of.
func (w *watched) watch(d time.Duration) {
	w.t.Helper()
	for began := time.Now(); time.Since(began) < d; after(100 * time.Millisecond) {
		a := w.s.life.app(w.id)
		if a.ID == "" {
			continue
		}
		line := fmt.Sprintf("%s, %s, %s", a.State, a.Health, a.Condition)
		if len(w.lines) > 0 && w.lines[len(w.lines)-1] == line {
			if !a.Since.Equal(w.since) {
				w.t.Errorf("at %s %s is %s since %s, where it was since %s", time.Now(), w.id, line, a.Since, w.since)
			}
		} else {
			w.lines = append(w.lines, line)
		}
		w.since = a.Since
	}
}

func (w *watched) said(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.lines); diff != "" {
		w.t.Errorf("what was said of %s, in turn (-want +got):\n%s", w.id, diff)
	}
}

// kills ends the tasks of an app every 4 s, until the returned function is called.
func (s *storm) kills(id string) (stop func()) {
	done := make(chan struct{})
	go func() {
		for tick := time.NewTicker(4 * time.Second); ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for task := range s.site.machine.running(id) {
				s.site.machine.end(task, "TASK_FAILED", "Command exited with status 1")
			}
		}
	}()
	return func() { close(done) }
}

// The status of an app changes when something becomes of it, and does not go to and
// fro between what Marathon and Pacer think of its rollout, nor with each
// reconciliation.
func TestStatusDoesNotFlip(t *testing.T) {
	const inRollout, failed = "synced, progressing, rollout", "synced, degraded, failed"
	for name, play := range map[string]func(t *testing.T, s *storm){
		// Marathon takes the deployment for done each time that the task runs.
		"a task that runs for a few seconds, again and again": func(t *testing.T, s *storm) {
			defer s.kills("/a")()
			s.repo.push(tree(map[string]wish{"/a": {Cmd: cmdRuns, Instances: 2}, "/b": {Cmd: cmdFails + " 2", Instances: 1}}))
			after(100 * time.Millisecond)
			w := s.newWatched(t, "/a")
			w.watch(6 * time.Minute)
			w.said(inRollout, failed)
		},
		"a failed one, while another is in its rollout": func(t *testing.T, s *storm) {
			git := map[string]wish{"/a": {Cmd: cmdFails + " 1", Instances: 1}, "/b": {Cmd: cmdRuns, Instances: 1}}
			s.repo.push(tree(git))
			after(100 * time.Millisecond)
			w := s.newWatched(t, "/a")
			w.watch(4 * time.Minute)
			git["/b"] = wish{Cmd: cmdFails + " 2", Instances: 1}
			s.repo.push(tree(git))
			w.watch(6 * time.Minute)
			w.said(inRollout, failed)
		},
		"with a commit every 3 s": func(t *testing.T, s *storm) {
			w := s.newWatched(t, "/a")
			explained := false
			for i := range 80 {
				s.repo.push(tree(map[string]wish{"/a": {Cmd: cmdFails + " 1", Instances: 1}, "/b": {Cmd: cmdRuns, Instances: 1, Salt: i}}))
				if i == 0 {
					after(100 * time.Millisecond)
				}
				w.watch(3 * time.Second)
				explained = explained || i < 50 && strings.Contains(s.life.app("/a").Reason, "exit code 1")
			}
			w.said(inRollout, failed)
			if !explained {
				t.Error("it was never said why it hangs")
			}
		},
		// What comes of a write that is not taken is tried again: nothing has failed for good.
		"writes that Marathon refuses": func(t *testing.T, s *storm) {
			s.repo.push(tree(map[string]wish{"/a": {Cmd: cmdRuns, Instances: 1}}))
			after(time.Minute)
			s.plots(func(r *http.Request) flaw {
				if r.Method != http.MethodGet {
					return broken
				}
				return sound
			})
			s.repo.push(tree(map[string]wish{"/a": {Cmd: cmdRuns, Instances: 2}}))
			after(100 * time.Millisecond)
			w := s.newWatched(t, "/a")
			w.watch(10 * time.Minute)
			w.said("out of sync, healthy, ")
			y := s.life.Status().Syncs[0]
			if a := s.life.app("/a"); a.Reason != "only instances differ: tasks are kept; the last attempt failed: Marathon answered 500: boom (tried 6 times)" {
				t.Errorf("reason %q", a.Reason)
			}
			if e := y.History[0]; e.Result != "failed" || e.Repeated < 5 || slices.ContainsFunc(y.History[1:], func(e store.Entry) bool { return e.Result == "failed" }) {
				t.Errorf("history: %+v", y.History)
			}
			s.plots(nil)
			after(6 * time.Minute)
			if a := s.life.app("/a"); a.State != status.Synced || a.Reason != "" {
				t.Errorf("at last: %+v", a)
			}
		},
		// From when it fails git's definition stays failed, while the last healthy one comes back.
		"a revert that takes its time": func(t *testing.T, s *storm) {
			s.adjust = func(y *reconcile.Sync) { y.Policy.Revert = true }
			s.again()
			git := map[string]wish{"/a": {Cmd: cmdSlow, Instances: 1}, "/b": {Cmd: cmdRuns, Instances: 1}}
			s.repo.commit(tree(git))
			after(testInterval + time.Minute)
			git["/a"] = wish{Cmd: cmdFails + " 1", Instances: 1}
			s.repo.push(tree(git))
			after(100 * time.Millisecond)
			w := s.newWatched(t, "/a")
			w.watch(3*time.Minute + 5*time.Second)
			for i := range 10 { // reconciliations in the middle of it
				git["/b"] = wish{Cmd: cmdRuns, Instances: 1, Salt: i}
				s.repo.push(tree(git))
				w.watch(4 * time.Second)
			}
			w.watch(3 * time.Minute)
			w.said(inRollout, "out of sync, progressing, failed", "out of sync, healthy, failed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStorm(t)
				play(t, s)
				after(10 * time.Second)
				for _, wrong := range s.close() {
					t.Log(wrong)
				}
			})
		})
	}
}

// A sync that is suspended in the middle of a rollout says what Marathon makes of it.
func TestARolloutOfASuspendedSyncComesToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStorm(t)
		s.repo.push(tree(map[string]wish{"/a": {Cmd: cmdSlow, Instances: 1}}))
		after(5 * time.Second)
		if err := s.life.Suspend(t.Context(), "all", ada); err != nil {
			t.Fatal(err)
		}
		after(5 * time.Second)
		if a := s.life.app("/a"); a.Health != status.HealthProgressing || a.Condition != status.InRollout {
			t.Errorf("while it is rolled out: %+v", a)
		}
		after(5 * time.Minute)
		if a := s.life.app("/a"); a.Health != status.HealthHealthy || a.Condition != "" {
			t.Errorf("at its end: %+v", a)
		}
		if err := s.life.Resume(t.Context(), "all", ada); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if a := s.life.app("/a"); a.Health != status.HealthHealthy || a.Condition != "" || a.State != status.Synced {
			t.Errorf("resumed: %+v", a)
		}
		s.close()
	})
}

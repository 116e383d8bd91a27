package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources"
)

// sync has the leader look at its source and apply what is there.
func (m *member) sync() {
	m.f.t.Helper()
	if err := m.Trigger("shop", store.Asked{By: store.AskedByPerson}); err != nil {
		m.f.t.Fatal(err)
	}
	after(10 * time.Second)
}

// A follower fetches every half minute, so what it has when it takes over is
// mostly older than what the leader applied.
func TestTwentyHandOversNeverGoBack(t *testing.T) {
	testenv.Long(t)
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a", "b")
		defer f.close()
		leader, next := f.replicas[0], f.replicas[1]
		leader.lead()
		after(5 * time.Second)
		f.has("cart=1", "the first revision")
		apps, want := []string{"cart"}, ""
		for i := range 20 {
			apps = append(apps, fmt.Sprintf("new-%02d", i))
			f.commit(apps...)
			leader.sync()
			want = f.live()
			if n := len(f.liveVersions()); n != len(apps) {
				t.Fatalf("%d apps after %d pushes: %s", n, i+1, want)
			}
			f.handOver(leader, next)
			leader, next = next, leader
			for _, wait := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, time.Second, 5 * time.Second} {
				after(wait)
				f.has(want, fmt.Sprintf("%s after hand-over %d", wait, i))
			}
		}
	})
}

// hold is what the status of a replica says; its zero value: it follows.
func (m *member) hold() status.Hold {
	if h := m.Status().Syncs[0].Hold; h != nil {
		return *h
	}
	return status.Hold{}
}

// newPair is two replicas; the first leads, and has applied version 2 with an app
// that version 1 has not, of which the second knows nothing.
func newPair(t *testing.T) (f *fleet, leader, next *member) {
	t.Helper()
	f = newFleet(t, "a", "b")
	f.stays = true
	leader, next = f.replicas[0], f.replicas[1]
	leader.lead()
	after(5 * time.Second)
	next.way.set(func() { next.way.broken = errNoRoute })
	f.commit("cart", "pay")
	leader.sync()
	f.has("cart=2 pay=2", "the leader")
	return f, leader, next
}

// With git away from the next leader the newest revision stays in force for as
// long as that lasts, what others change is healed, and git is followed again.
func TestANewLeaderWithoutGitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, leader, next := newPair(t)
		defer f.close()
		f.handOver(leader, next)
		for _, wait := range []time.Duration{0, time.Second, 5 * time.Second, 10 * time.Second, time.Minute, time.Hour} {
			after(wait)
			f.has("cart=2 pay=2", fmt.Sprintf("%s later", wait))
		}
		h := next.hold()
		if h.Revision != f.origin.Head() || h.Answered != "" || !h.Reconciles || !strings.Contains(h.Reason, errNoRoute.Error()) {
			t.Errorf("held: %+v", h)
		}
		f.byHand("PUT", "/v2/apps//shop/pay?force=true", `{"cmd": "run", "instances": 3}`)
		f.byHand("DELETE", "/v2/apps//shop/cart?force=true", "")
		after(2 * time.Minute)
		f.has("cart=2 pay=2", "after drift")
		if pay := f.site.app("/shop/pay"); fmt.Sprint(pay["instances"]) != "1" {
			t.Errorf("drift is not healed: %v instances", pay["instances"])
		}
		f.commit("cart", "pay", "search")
		next.way.set(func() { next.way.broken = nil })
		after(time.Minute)
		f.has("cart=3 pay=3 search=3", "git is back")
		if h := next.hold(); h.Revision != "" {
			t.Errorf("still held: %+v", h)
		}
		if n := strings.Count(next.log.String(), "sync is held"); n != 1 {
			t.Errorf("the hold is logged %d times", n)
		}
	})
}

// A git server that takes a connection and says nothing is no different.
func TestANewLeaderWhoseFetchHangsHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, leader, next := newPair(t)
		defer f.close()
		next.way.set(func() { next.way.broken, next.way.stuck = nil, true })
		f.handOver(leader, next)
		after(reconcile.HoldAfter - time.Second)
		f.has("cart=2 pay=2", "before it holds")
		if h := next.hold(); h.Revision != "" {
			t.Errorf("held too soon: %+v", h)
		}
		f.byHand("DELETE", "/v2/apps//shop/cart?force=true", "")
		after(20 * time.Second)
		f.has("cart=2 pay=2", "it holds")
		if h := next.hold(); !h.Reconciles {
			t.Errorf("held: %+v", h)
		}
	})
}

// What a revision asks for is stored while it is applied, and the revision itself
// before its first write: so another replica can go on with half of it.
func TestALeaderThatEndsInAnApplyLeavesTheNextOneToGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, leader, next := newPair(t)
		defer f.close()
		f.commit("cart", "pay", "search")
		writes := 0
		leader.line.written = func(r *http.Request, body []byte) func(int) {
			noted := f.written(r, body)
			return func(code int) {
				noted(code)
				if writes++; writes == 1 {
					leader.line.setDown(true)
				}
			}
		}
		if err := leader.Trigger("shop", store.Asked{}); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Second)
		if got := f.live(); got == "cart=2 pay=2" || got == "cart=3 pay=3 search=3" {
			t.Fatalf("Marathon has %s: want a part of version 3", got)
		}
		f.handOver(leader, next)
		after(2 * time.Minute)
		f.has("cart=3 pay=3 search=3", "the next leader, without git")
	})
}

// Where what was applied is not in the archive, nothing is changed.
func TestAHoldWithoutContentOnlyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, leader, next := newPair(t)
		defer f.close()
		f.archive.(*shelf).spoilKept(nil)
		f.handOver(leader, next)
		after(time.Minute)
		f.byHand("DELETE", "/v2/apps//shop/cart?force=true", "")
		after(5 * time.Minute)
		f.has("pay=2", "nobody knows what version 2 asks for")
		if h := next.hold(); h.Reconciles || h.Revision != f.origin.Head() {
			t.Errorf("held: %+v", h)
		}
		next.way.set(func() { next.way.broken = nil })
		after(time.Minute)
		f.has("cart=2 pay=2", "git is back")
	})
}

// A mirror that lags behind for one replica is not believed, until it has caught
// up or a person says so.
func TestAMirrorThatLagsIsNotFollowedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, leader, next := newPair(t)
		defer f.close()
		older := f.origin.Git("rev-parse", "HEAD~1")
		next.way.set(func() { next.way.broken, next.way.lags = nil, true })
		f.handOver(leader, next)
		for range 5 {
			after(10 * time.Minute)
			f.has("cart=2 pay=2", "the mirror lags")
		}
		h := next.hold()
		if h.Answered != older || !h.Reconciles || !strings.Contains(h.Reason, "pacer approve shop --revision "+older[:8]) {
			t.Errorf("held: %+v", h)
		}
		err := next.Approve(t.Context(), "shop", nil, "nonsense", ada)
		if !errors.Is(err, ErrConflict) || longRevision.MatchString(err.Error()) || longRevision.MatchString(h.Reason) {
			t.Errorf("approved nonsense: %v; held since %s", err, h.Reason)
		}
		next.way.set(func() { next.way.lags = false })
		after(time.Minute)
		f.commit("cart", "pay", "search")
		after(time.Minute)
		f.has("cart=3 pay=3 search=3", "it has caught up")

		next.way.set(func() { next.way.answer = func(int) string { return older } })
		f.handOver(next, leader)
		leader.way.set(func() { leader.way.broken = errNoRoute })
		after(time.Minute)
		f.has("cart=3 pay=3 search=3", "the other leads again")
	})
}

// longRevision is one that is not shortened for people.
var longRevision = regexp.MustCompile(`[0-9a-f]{9,}`)

func TestAPersonApprovesTheOlderRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, leader, next := newPair(t)
		defer f.close()
		next.way.set(func() { next.way.broken, next.way.lags = nil, true })
		f.handOver(leader, next)
		after(time.Minute)
		f.goesBack(true)
		older := f.origin.Git("rev-parse", "HEAD~1")
		if err := next.Approve(t.Context(), "shop", nil, older[:8], ada); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		f.has("cart=1", "approved")
		if h := next.hold(); h.Revision != "" {
			t.Errorf("still held: %+v", h)
		}
		if last := next.Status().Syncs[0].History[0]; last.Asked.User != "ada" || last.Revision != older {
			t.Errorf("history: %+v", last)
		}
		// Who comes next, with the newer one on its disk, does not go forth again.
		leader.way.set(func() { leader.way.broken = errNoRoute })
		f.handOver(next, leader)
		after(5 * time.Minute)
		f.has("cart=1", "the other leads again")
	})
}

// Behind one name there may be servers of which one lags, so that answers go back
// and forth.
func TestALoadBalancedHostThatAlternatesDoesNotGoBack(t *testing.T) {
	testenv.Long(t)
	for name, pattern := range map[string]string{"every other time": "no", "two of three lag": "noo", "mostly behind": "nooo"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, leader, next := newPair(t)
				defer f.close()
				newest, older := f.origin.Head(), f.origin.Git("rev-parse", "HEAD~1")
				alternate := func(look int) string {
					if pattern[look%len(pattern)] == 'o' {
						return older
					}
					return newest
				}
				for _, m := range []*member{leader, next} {
					m.way.set(func() { m.way.broken, m.way.answer = nil, alternate })
				}
				after(3 * time.Minute)
				f.has("cart=2 pay=2", "the same leader")
				f.handOver(leader, next)
				after(3 * time.Minute)
				f.has("cart=2 pay=2", "the next leader")
			})
		})
	}
}

// A force-push goes back, by who has seen what it takes away; a revert is a new
// commit and goes at once.
func TestAForcePushAndARevertGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, leader, next := newPair(t)
		defer f.close()
		next.way.set(func() { next.way.broken = nil })
		after(time.Minute)
		f.goesBack(true)
		f.origin.Git("reset", "--quiet", "--hard", "HEAD~1")
		f.origin.Git("push", "--quiet", "--force", "origin", "HEAD")
		leader.sync()
		after(20 * time.Second)
		f.has("cart=1", "a force-push")
		if e := leader.Status().Syncs[0].History[0]; e.Asked.By == "" || len(e.Changes) == 0 || e.Commit == "" {
			t.Errorf("the history does not say by what: %+v", e)
		}
		f.handOver(leader, next)
		after(time.Minute)
		f.has("cart=1", "the next leader")

		f.version = 2
		bad := f.commit("cart", "pay")
		next.sync()
		f.has("cart=3 pay=3", "forth again")
		f.origin.Revert(bad)
		next.sync()
		f.has("cart=1", "a revert")
		if h := next.hold(); h.Revision != "" {
			t.Errorf("held: %+v", h)
		}
	})
}

// A force-push is known as one after a restart too: the clone has what it took
// away.
func TestAForcePushWhilePacerWasDownGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "only")
		defer f.close()
		only := f.replicas[0]
		f.commit("cart", "pay")
		only.sync()
		f.has("cart=2 pay=2", "at first")
		only.stop()
		f.origin.Git("reset", "--quiet", "--hard", "HEAD~1")
		f.origin.Git("push", "--quiet", "--force", "origin", "HEAD")
		only.start()
		after(schedule.ConfirmGap)
		f.has("cart=2 pay=2", "it is asked again first")
		f.goesBack(true)
		after(time.Minute)
		f.has("cart=1", "the force-push")
	})
}

// One Pacer whose clone is gone, or older than what it applied, with git away or
// behind.
func TestASinglePacerWithLessOnItsDiskDoesNotGoBack(t *testing.T) {
	testenv.Long(t)
	for name, spoil := range map[string]func(f *fleet, m *member, backup string){
		"the clone is lost and git is away": func(_ *fleet, m *member, _ string) { m.way.broken = errNoRoute },
		"an older clone is restored and git is away": func(f *fleet, m *member, backup string) {
			m.way.broken = errNoRoute
			restore(f.t, backup, m.clone)
		},
		"an older clone is restored and the mirror is behind": func(f *fleet, m *member, backup string) {
			restore(f.t, backup, m.clone)
			m.way.answer = f.before()
		},
		"the clone is lost and the mirror is behind": func(f *fleet, m *member, _ string) {
			m.way.answer = f.before()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "only")
				defer f.close()
				only, backup := f.replicas[0], t.TempDir()
				after(10 * time.Second)
				only.stop()
				restore(t, only.clone, backup)
				only.start()
				f.commit("cart", "pay")
				only.sync()
				f.has("cart=2 pay=2", "at first")
				only.stop()
				if err := os.RemoveAll(only.clone); err != nil {
					t.Fatal(err)
				}
				spoil(f, only, backup)
				only.start()
				for _, wait := range []time.Duration{0, time.Second, 20 * time.Second, time.Hour} {
					after(wait)
					f.has("cart=2 pay=2", fmt.Sprintf("%s after the restart", wait))
				}
				if h := only.hold(); h.Revision != f.origin.Head() || !h.Reconciles {
					t.Errorf("held: %+v", h)
				}
				f.goesBack(true) // by what the next commit says
				only.way.set(func() { only.way.broken, only.way.answer = nil, nil })
				f.commit("cart", "search")
				after(2 * time.Minute)
				f.has("cart=3 search=3", "git is there again")
			})
		})
	}
}

// before is a server that answers with the commit before the newest.
func (f *fleet) before() func(int) string {
	commit := f.origin.Git("rev-parse", "HEAD~1")
	return func(int) string { return commit }
}

// restore copies a folder to a place where there is none.
func restore(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Another branch is another thing: what was applied of the one before holds nothing.
func TestAnotherConfigurationIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "only")
		defer f.close()
		only := f.replicas[0]
		after(5 * time.Second)
		f.origin.Git("branch", "stable")
		f.origin.Git("push", "--quiet", "origin", "stable")
		f.commit("cart", "pay")
		only.sync()
		f.has("cart=2 pay=2", "main")
		only.stop()
		only.branch = "stable"
		f.goesBack(true)
		only.start()
		after(time.Minute)
		f.has("cart=1", "stable")
		if h := only.hold(); h.Revision != "" {
			t.Errorf("held: %+v", h)
		}
	})
}

// A directory has no order. Who has seen the newer content goes back at once, as
// does the only replica; another one holds.
func TestADirectoryGoesBackWhereItWasEdited(t *testing.T) {
	edit := func(g *rig, cmd string) {
		g.repo.mu.Lock()
		g.repo.snapshot = &sources.Snapshot{FS: treeOf(files("/shop/a", cmd)), Revision: sources.Revision{ID: plan.ContentHash + cmd, Time: time.Now()}}
		g.repo.mu.Unlock()
		after(2 * testInterval)
	}
	t.Run("single", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, nil)
			edit(g, "v1")
			g.start()
			edit(g, "v2")
			g.runs("/shop/a=v2")
			edit(g, "v1")
			g.runs("/shop/a=v1")
			edit(g, "v2")
			g.stop()
			edit(g, "v1")
			g.start()
			after(time.Second)
			g.runs("/shop/a=v1")
			g.stop()
		})
	})
	t.Run("several", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			g := newRig(t, nil)
			edit(g, "v1")
			r := g.newReplica()
			defer r.stop()
			end := r.lead()
			edit(r, "v2")
			g.runs("/shop/a=v2")
			edit(r, "v1")
			g.runs("/shop/a=v1")
			edit(r, "v2")
			g.runs("/shop/a=v2")
			end()
			other := *g
			other.repo = &repo{changed: make(chan struct{})}
			other.options.Sources = map[string]schedule.Source{"shop": {Source: other.repo, Interval: testInterval}}
			edit(&other, "v1")
			o := other.newReplica()
			defer o.stop()
			end = o.lead()
			after(10 * time.Minute)
			g.runs("/shop/a=v2")
			if h := o.sync("shop").Hold; h == nil || h.Answered != plan.ContentHash+"v1" {
				t.Errorf("held: %+v", h)
			}
			edit(o, "v3")
			g.runs("/shop/a=v3")
			end()
		})
	})
}

// ledger counts the saves of all that is known, and those of what is noted ahead
// of a write.
type ledger struct {
	*shelf
	mu           sync.Mutex
	whole, ahead int
}

func (l *ledger) Save(ctx context.Context, sync string, s store.State) error {
	l.mu.Lock()
	l.whole++
	l.mu.Unlock()
	return l.shelf.Save(ctx, sync, s)
}

func (l *ledger) SaveAhead(ctx context.Context, sync string, s store.State) error {
	l.mu.Lock()
	l.ahead++
	l.mu.Unlock()
	return l.shelf.SaveAhead(ctx, sync, s)
}

// Before the first write of a revision it is in the store as the newest, which
// costs no save more; what it asks for comes while it is applied.
func TestTheNewestRevisionIsNotedAheadOfItsFirstWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		kept := &ledger{shelf: f.archive.(*shelf)}
		f.store, f.single = kept, true
		f.replicas = append(f.replicas, f.newMember("only"))
		defer f.close()
		only := f.replicas[0]
		after(20 * time.Second)
		kept.mu.Lock()
		kept.whole, kept.ahead = 0, 0
		kept.mu.Unlock()
		head, first := f.commit("cart", "pay"), true
		only.line.written = func(r *http.Request, body []byte) func(int) {
			if n := kept.state(t, "shop").Newest; first {
				kept.mu.Lock()
				defer kept.mu.Unlock()
				first = false
				if n == nil || n.ID != head || n.Sum != "" || kept.whole != 0 || kept.ahead != 1 {
					t.Errorf("at the first write the newest is %+v, after %d saves of all and %d of what is ahead", n, kept.whole, kept.ahead)
				}
			}
			return f.written(r, body)
		}
		if err := only.Trigger("shop", store.Asked{}); err != nil {
			t.Fatal(err)
		}
		after(2 * time.Second)
		if n := kept.state(t, "shop").Newest; !only.Status().Syncs[0].Running || n.Sum == "" || kept.kept[n.Sum] == nil {
			t.Errorf("while it is applied the newest is %+v", n)
		}
		after(20 * time.Second)
		f.has("cart=2 pay=2", "in the end")
	})
}

// A mirror that has not heard of a force-push yet shows what was gone back from,
// and has shown long before what is the newest again: that is no proof that it
// went back itself.
func TestAMirrorThatLagsBehindAForcePushIsNotFollowed(t *testing.T) {
	testenv.Long(t)
	for _, by := range []string{"a force-push", "an approval"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, leader, next := newPair(t)
				defer f.close()
				two := f.origin.Head()
				one := f.origin.Git("rev-parse", "HEAD~1")
				f.goesBack(true)
				switch by {
				case "a force-push":
					next.way.set(func() { next.way.broken, next.way.answer = nil, func(int) string { return two } })
					after(time.Minute) // it shows the newest, too
					f.origin.Git("reset", "--quiet", "--hard", "HEAD~1")
					f.origin.Git("push", "--quiet", "--force", "origin", "HEAD")
					leader.sync()
					after(20 * time.Second)
				default:
					next.way.set(func() { next.way.broken, next.way.lags = nil, true })
					leader.way.set(func() { leader.way.answer = func(int) string { return two } })
					f.handOver(leader, next)
					leader, next = next, leader
					after(time.Minute)
					if err := leader.Approve(t.Context(), "shop", nil, one[:8], ada); err != nil {
						t.Fatal(err)
					}
					after(time.Minute)
				}
				f.has("cart=1", by)
				f.goesBack(false)
				f.handOver(leader, next)
				for _, wait := range []time.Duration{0, time.Second, 10 * time.Second, time.Minute, time.Hour} {
					after(wait)
					f.has("cart=1", fmt.Sprintf("%s after the hand-over", wait))
				}
				h := next.hold()
				if h.Revision != one || h.Answered != two {
					t.Errorf("held: %+v", h)
				}
				if want := "revision " + two[:8] + ", which was superseded by revision " + one[:8]; !strings.Contains(h.Reason, want) || strings.Contains(h.Reason, "older") {
					t.Errorf("reason %q: expected %q and nothing of older: it is of a later day", h.Reason, want)
				}
				next.way.set(func() { next.way.answer = nil })
				f.origin.Date = "2030-03-02T12:00:00Z" // of a later second, however fast the test is: it may not build on the newest
				f.commit("cart", "search")
				after(2 * time.Minute)
				f.has("cart=3 search=3", "the mirror has caught up")
			})
		})
	}
}

// Clocks do not say what is older: commits of one second, and of a clock that is an
// hour fast or slow, are told apart by what they build on.
func TestClocksDoNotDecideWhatIsOlder(t *testing.T) {
	testenv.Long(t)
	const second = "2030-03-02T12:00:00Z"
	for name, c := range map[string]struct{ between, newest, after string }{
		"all in one second":                   {second, second, second},
		"the one between by a fast clock":     {"2030-03-02T13:00:00Z", second, "2030-03-02T12:00:10Z"},
		"the one after by a slow clock":       {second, "2030-03-02T12:00:10Z", "2030-03-02T11:00:00Z"},
		"the newest by a clock of tomorrow's": {second, "2030-03-03T12:00:00Z", "2030-03-02T12:00:10Z"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, "a", "b")
				defer f.close()
				leader, next := f.replicas[0], f.replicas[1]
				leader.lead()
				after(5 * time.Second)
				at := func(date string, apps ...string) string {
					f.origin.Date = date
					return f.commit(apps...)
				}
				between := at(c.between, "cart", "old")
				at(c.newest, "cart", "pay")
				leader.sync() // it never saw the one between
				f.has("cart=3 pay=3", "the leader")
				next.way.set(func() { next.way.answer = func(int) string { return between } })
				f.handOver(leader, next)
				for _, wait := range []time.Duration{0, time.Second, 20 * time.Second, 10 * time.Minute} {
					after(wait)
					f.has("cart=3 pay=3", "the mirror lags")
				}
				next.way.set(func() { next.way.answer = nil })
				at(c.after, "cart", "pay", "search")
				after(time.Minute)
				f.has("cart=4 pay=4 search=4", "a commit on top, with no hold")
				if h := next.hold(); h.Revision != "" {
					t.Errorf("held: %+v", h)
				}
			})
		})
	}
}

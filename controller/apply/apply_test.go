package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

func appOf(id, cmd string, instances int, dependencies ...string) *manifests.App {
	return &manifests.App{ID: id, Cmd: &cmd, Instances: &instances, CPUs: new(99999.0), Dependencies: dependencies}
}

func change(action plan.Action, a *manifests.App) plan.Change {
	return plan.Change{ID: a.ID, Kind: manifests.KindApp, Action: action, App: a, Hash: manifests.HashApp(a), File: a.ID + ".yaml"}
}

func deletion(id string) plan.Change {
	return plan.Change{ID: id, Kind: manifests.KindApp, Action: plan.Delete, File: id + ".yaml"}
}

// renamedTo is the deletion of what may have another id now.
func renamedTo(old, id string) plan.Change {
	c := deletion(old)
	c.NewForms = []string{id}
	return c
}

func planOf(changes ...plan.Change) plan.Plan { return plan.Plan{Changes: changes} }

// results are the outcomes as "id result", for one look.
func results(outcomes []Outcome) map[string]Result {
	m := map[string]Result{}
	for _, o := range outcomes {
		m[o.ID] = o.Result
	}
	return m
}

func want(t *testing.T, outcomes []Outcome, expected map[string]Result) {
	t.Helper()
	got := results(outcomes)
	for id, r := range expected {
		if got[id] != r {
			t.Errorf("%s: %s, want %s", id, got[id], r)
		}
	}
	if len(got) != len(expected) {
		t.Errorf("outcomes %v, want %v", got, expected)
	}
	if t.Failed() {
		for _, o := range outcomes {
			t.Logf("%s %s %s: %s", o.ID, o.Action, o.Result, o.Reason)
		}
	}
}

func reason(outcomes []Outcome, id string) string {
	for _, o := range outcomes {
		if o.ID == id {
			return o.Reason
		}
	}
	return ""
}

func (c *cluster) called(prefix string) int {
	n := 0
	for _, call := range c.calls {
		if strings.HasPrefix(call, prefix) {
			n++
		}
	}
	return n
}

// in runs a test in a bubble of virtual time, which also fails it if a
// goroutine is left behind.
func in(t *testing.T, f func(t *testing.T, c *cluster)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, newCluster()) })
}

func TestCreateUpdateScaleDelete(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "one", 1), appOf("/b", "x", 2), appOf("/c", "x", 1))
		var told []Outcome
		got := New(c, Options{}).Apply(t.Context(), planOf(
			deletion("/c"),
			change(plan.Update, appOf("/a", "two", 1)),
			change(plan.Scale, appOf("/b", "x", 5)),
			change(plan.Create, appOf("/d", "x", 1)),
		), Request{Progress: func(o Outcome) { told = append(told, o) }})
		want(t, got, map[string]Result{"/a": Applied, "/b": Applied, "/c": Applied, "/d": Applied})
		if c.apps["/c"] != nil || *c.apps["/a"].def.Cmd != "two" || len(c.apps["/b"].tasks) != 5 || len(c.apps["/d"].tasks) != 1 {
			t.Errorf("Marathon is not as wanted: %v", c.apps)
		}
		if c.restarts["/b"] != 0 || c.restarts["/a"] != 1 {
			t.Errorf("restarts: %v, want only /a's task", c.restarts)
		}
		if n := c.called("DELETE /c"); n != 1 {
			t.Errorf("%d deletes without force, want 1: %v", n, c.calls)
		}
		for _, id := range []string{"/a", "/b", "/c", "/d"} {
			var mine []Outcome
			for _, o := range told {
				if o.ID == id {
					mine = append(mine, o)
				}
			}
			if len(mine) != 2 || mine[0].Result != "" || mine[0].Deployment == "" || mine[1].Result != Applied || mine[1].Ended.Sub(mine[1].Began) < time.Second {
				t.Errorf("progress of %s: %+v", id, mine)
			}
		}
	})
}

func TestOrderOfDependencies(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/old/web", "x", 1, "/old/db"), appOf("/old/db", "x", 1))
		var order []string
		got := New(c, Options{}).Apply(t.Context(), planOf(
			deletion("/old/db"), deletion("/old/web"),
			change(plan.Create, appOf("/s/web", "x", 1, "/s/api")),
			change(plan.Create, appOf("/s/api", "x", 1, "/data")), // a group
			change(plan.Create, appOf("/data/db", "x", 1)),
			change(plan.Create, appOf("/grouped/one", "x", 1)),
			plan.Change{ID: "/grouped", Kind: manifests.KindGroup, Action: plan.Create, Group: &manifests.Group{ID: "/grouped", Dependencies: []string{"/s/web"}}},
		), Request{Progress: func(o Outcome) {
			word := "+"
			if o.Result != "" {
				word = "="
			}
			order = append(order, word+o.ID)
		}})
		for _, o := range got {
			if o.Result != Applied {
				t.Errorf("%s %s: %s", o.ID, o.Result, o.Reason)
			}
		}
		for _, pair := range [][2]string{
			{"=/data/db", "+/s/api"}, {"=/s/api", "+/s/web"}, {"=/s/web", "+/grouped/one"}, {"=/grouped", "+/grouped/one"},
			{"=/grouped/one", "+/old/web"}, {"=/old/web", "+/old/db"},
		} {
			if a, b := slices.Index(order, pair[0]), slices.Index(order, pair[1]); a < 0 || b < 0 || a > b {
				t.Errorf("%s must come before %s: %v", pair[0], pair[1], order)
			}
		}
	})
}

func TestCycleIsRefusedByName(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		got := New(c, Options{}).Apply(t.Context(), planOf(
			change(plan.Create, appOf("/a", "x", 1, "/b")), change(plan.Create, appOf("/b", "x", 1, "/a")),
			change(plan.Create, appOf("/after", "x", 1, "/a")), change(plan.Create, appOf("/free", "x", 1)),
		), Request{})
		want(t, got, map[string]Result{"/a": Failed, "/b": Failed, "/after": Blocked, "/free": Applied})
		if r := reason(got, "/a"); !strings.Contains(r, "dependency cycle: /a -> /b -> /a: ") {
			t.Errorf("reason: %s", r)
		}
	})
}

// One that does not come up is explained early and at the end, and holds up
// only what depends on it; what it may replace is not deleted.
func TestHangingIsExplainedAndHoldsUpOnlyItsOwn(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/shop/cart", "x", 1), appOf("/other/old", "x", 1))
		var early string
		renamed := change(plan.Create, appOf("/shop/basket", "hang", 3))
		got := New(c, Options{}).Apply(t.Context(), planOf(
			renamed,
			change(plan.Create, appOf("/web", "x", 1, "/shop/basket")),
			change(plan.Create, appOf("/free", "x", 1)),
			change(plan.Create, appOf("/crash", "crash", 1)),
			plan.Change{ID: "/b", Kind: manifests.KindApp, Action: plan.Update, Blocked: new("not approved")},
			change(plan.Create, appOf("/on/b", "x", 1, "/b")),
			renamedTo("/shop/cart", "/shop/basket"), deletion("/other/old"),
		), Request{Deadline: 2 * time.Minute, Progress: func(o Outcome) {
			if o.ID == "/shop/basket" && o.Result == "" && o.Reason != "" && early == "" {
				early = fmt.Sprint(o.Reason)
			}
		}})
		want(t, got, map[string]Result{"/shop/basket": Failed, "/web": Blocked, "/free": Applied, "/crash": Failed, "/b": Blocked, "/on/b": Blocked,
			"/shop/cart": Blocked, "/other/old": Applied})
		for id, words := range map[string]string{
			"/shop/basket": "not converged within 2m0s: 0 of 3 running: 57 of 57 offers refused, all for cpus: requires 99999",
			"/crash":       "exit code 127: the command is not found",
			"/web":         "blocked by /shop/basket, which it depends on and which is failed",
			"/on/b":        "blocked by /b, which it depends on and which is blocked: not approved",
			"/shop/cart":   "kept: /shop/basket, which may replace it",
		} {
			if r := reason(got, id); !strings.Contains(r, words) {
				t.Errorf("%s: %s\nwant …%s…", id, r, words)
			}
		}
		for _, o := range got {
			if o.Result == Blocked != o.Began.IsZero() {
				t.Errorf("%s is %s and began at %s", o.ID, o.Result, o.Began)
			}
		}
		if early != "0 of 3 running: 57 of 57 offers refused, all for cpus: requires 99999" {
			t.Errorf("early explanation: %q", early)
		}
		if c.apps["/shop/cart"] == nil {
			t.Error("what ran was deleted before its new form was up")
		}
	})
}

// With a new revision every few seconds, of which each has all apps changed anew,
// every app has its turn, since what has waited longest goes first.
func TestWhatWaitedLongestGoesFirst(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		const n = 100
		waiting := map[string]time.Time{}
		for i := range n {
			id := fmt.Sprintf("/a%03d", i)
			c.has(appOf(id, "r0", 1))
			waiting[id] = time.Now()
		}
		a := New(c, Options{MaxInFlight: 10})
		for revision := range 12 {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(2*time.Second, func() { cancel(ErrSuperseded) })
			var changes []plan.Change
			for i := range n {
				changes = append(changes, change(plan.Update, appOf(fmt.Sprintf("/a%03d", i), fmt.Sprintf("r%d", revision+1), 1)))
			}
			a.Apply(ctx, planOf(changes...), Request{Waiting: maps.Clone(waiting), Progress: func(o Outcome) {
				if !o.Began.IsZero() {
					waiting[o.ID] = time.Now()
				}
			}})
		}
		for id := range waiting {
			if c.writes[id] == 0 {
				t.Errorf("%s was never changed", id)
			}
		}
	})
}

// While no Marathon can be reached each change is not tried for itself.
func TestAMarathonThatIsAwayIsAskedNowAndThen(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		const n = 100
		var changes []plan.Change
		for i := range n {
			id := fmt.Sprintf("/a%03d", i)
			c.has(appOf(id, "x", 1))
			changes = append(changes, change(plan.Update, appOf(id, "y", 1)))
		}
		away, tried := 25*time.Second, 0
		start := time.Now()
		c.before = func(string) error {
			if time.Since(start) < away {
				tried++
				return &marathon.Error{Cause: errors.New("connection refused")}
			}
			return nil
		}
		expected := map[string]Result{}
		for _, ch := range changes {
			expected[ch.ID] = Applied
		}
		want(t, New(c, Options{}).Apply(t.Context(), planOf(changes...), Request{}), expected)
		if tried > maxTries {
			t.Errorf("%d writes were tried in %s without a Marathon", tried, away)
		}

		for i := range changes {
			changes[i] = change(plan.Update, appOf(changes[i].ID, "z", 1))
			expected[changes[i].ID] = Unknown
		}
		away, tried, start = time.Hour, 0, time.Now()
		want(t, New(c, Options{}).Apply(t.Context(), planOf(changes...), Request{}), expected)
		if tried != maxTries || time.Since(start) > time.Minute {
			t.Errorf("%d writes were tried, given up after %s", tried, time.Since(start))
		}
	})
}

func TestSuperseding(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "one", 1), appOf("/b", "one", 1))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { cancel(ErrSuperseded) })
		a := New(c, Options{})
		got := a.Apply(ctx, planOf(change(plan.Update, appOf("/a", "hang", 1)), change(plan.Update, appOf("/b", "two", 1, "/a"))), Request{})
		want(t, got, map[string]Result{"/a": Superseded, "/b": Superseded})
		if c.writes["/b"] != 0 {
			t.Error("something was sent that had not begun")
		}
		start := time.Now()
		got = a.Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "one", 1))), Request{})
		want(t, got, map[string]Result{"/a": Applied})
		if took := time.Since(start); took > 7*time.Second || c.called("PUT! /a") != 1 {
			t.Errorf("took %s, calls %v", took, c.calls)
		}
	})
}

// After a restart of the process, only what was noted says what is our own.
func TestOnlyOwnDeploymentsAreForced(t *testing.T) {
	for name, r := range map[string]func(id string) (Options, Request){
		"noted": func(id string) (Options, Request) {
			return Options{}, Request{Rollouts: map[string]Rollout{"/a": {Deployment: id}}}
		},
		"failed": func(id string) (Options, Request) { return Options{}, Request{Deployments: []string{id}} },
		"recognised": func(id string) (Options, Request) {
			return Options{Own: func(d marathon.Deployment) bool { return d.ID == id }}, Request{}
		},
		"foreign": func(string) (Options, Request) { return Options{}, Request{} },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, c *cluster) {
				c.has(appOf("/a", "one", 1))
				id := c.foreign("/a")
				o, req := r(id)
				var waited string
				req.Progress = func(o Outcome) {
					if o.Result == "" && o.Reason != "" {
						waited = o.Reason
					}
				}
				start := time.Now()
				got := New(c, o).Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "two", 1)), change(plan.Create, appOf("/free", "x", 1))), req)
				want(t, got, map[string]Result{"/a": Applied, "/free": Applied})
				took, forced := time.Since(start), c.called("PUT! /a")
				if name == "foreign" && (forced != 0 || took < 20*time.Second || !strings.Contains(waited, id+" (of /a)")) {
					t.Errorf("a foreign deployment: forced %d times, took %s, told %q", forced, took, waited)
				}
				if name != "foreign" && (forced != 1 || took > 7*time.Second) {
					t.Errorf("our own deployment: forced %d times, took %s", forced, took)
				}
			})
		})
	}
}

// A create that is forced over a deployment of our own still replaces nothing that
// came into being meanwhile.
func TestAForcedCreateReplacesNothing(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		own := c.foreign("/a")
		c.before = func(call string) error {
			if call == "POST! /a" {
				v := c.newVersion()
				c.apps["/a"] = &fakeApp{def: appOf("/a", "theirs", 3), version: v, config: v}
			}
			return nil
		}
		got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Create, appOf("/a", "ours", 1))), Request{Deployments: []string{own}})
		want(t, got, map[string]Result{"/a": Blocked})
		if def := c.apps["/a"].def; *def.Cmd != "theirs" || *def.Instances != 3 || c.called("POST! /a") != 1 {
			t.Errorf("/a is %s with %d instances after %v", *def.Cmd, *def.Instances, c.calls)
		}
	})
}

// Who held the lock may have put there what git wants: then nothing is sent, and
// what somebody else began stays theirs.
func TestNothingIsSentWhereTheLockLeftWhatIsWanted(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "one", 1))
		c.startup = 20 * time.Second
		if _, err := c.PutApp(context.WithValue(t.Context(), theirs{}, true), appOf("/a", "theirs", 1), false); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(5*time.Second, func() { // rolled back
			_, _ = c.PutApp(context.WithValue(context.Background(), theirs{}, true), appOf("/a", "one", 1), true)
		})
		got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "one", 1))), Request{})
		want(t, got, map[string]Result{"/a": Applied})
		if c.writes["/a"] != 0 || c.called("PUT!") != 1 || got[0].Began.IsZero() || got[0].Deployment != "" {
			t.Errorf("%d writes, %+v, calls %v", c.writes["/a"], got[0], c.calls)
		}
	})
}

func TestForeignLockThatNeverEnds(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "one", 1))
		id := c.foreign("/a")
		c.deployments[0].ends = time.Now().Add(24 * time.Hour)
		got := New(c, Options{Deadline: time.Minute}).Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "two", 1))), Request{})
		want(t, got, map[string]Result{"/a": Blocked})
		if !strings.Contains(reason(got, "/a"), id) || c.writes["/a"] != 0 || !got[0].Began.IsZero() {
			t.Errorf("reason %q, writes %v", reason(got, "/a"), c.writes)
		}
	})
}

// A forced write cancels a whole deployment. What it had left to do for others
// is done nevertheless.
func TestForceLeavesNothingHalfDone(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "one", 1), appOf("/b", "one", 1))
		c.startup = 10 * time.Second
		a := New(c, Options{})
		r, err := c.PutApps(t.Context(), []*manifests.App{appOf("/a", "hang", 1), appOf("/b", "two", 1)}, false)
		if err != nil {
			t.Fatal(err)
		}
		c.apps["/b"].tasks = c.apps["/b"].tasks[:1] // only its old task, and nobody who drives it after the cancel
		got := a.Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "three", 1))), Request{Deployments: []string{r.Deployment}})
		want(t, got, map[string]Result{"/a": Applied, "/b": Applied})
		for _, task := range c.apps["/b"].tasks {
			if task.version.Before(c.apps["/b"].config) {
				t.Error("/b still runs a task of its old configuration")
			}
		}
	})
}

// A rollout that somebody cancelled is half done though no deployment says so.
func TestCancelledRolloutIsTakenUpAgain(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "one", 2))
		c.startup = 20 * time.Second
		time.AfterFunc(5*time.Second, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.deployments = nil
			c.apps["/a"].tasks = c.apps["/a"].tasks[:2]
		})
		got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "two", 2))), Request{})
		want(t, got, map[string]Result{"/a": Applied})
		if c.called("RESTART /a") != 1 || c.apps["/a"].tasks[0].version.Before(c.apps["/a"].config) {
			t.Errorf("calls %v", c.calls)
		}
	})
}

func TestSomebodyElseChangesIt(t *testing.T) {
	for name, interfere := range map[string]func(c *cluster){
		"deletes": func(c *cluster) { _, _ = c.DeleteApp(context.Background(), "/a", true) },
		"edits":   func(c *cluster) { _, _ = c.PutApp(context.Background(), appOf("/a", "other", 1), true) },
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, c *cluster) {
				c.has(appOf("/a", "one", 1))
				c.startup = 20 * time.Second
				time.AfterFunc(5*time.Second, func() { interfere(c) })
				got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "two", 1))), Request{})
				want(t, got, map[string]Result{"/a": Failed})
				if !got[0].Transient || !strings.Contains(reason(got, "/a"), "another client") || c.called("PUT /a") != 1 {
					t.Errorf("reason %q, calls %v", reason(got, "/a"), c.calls)
				}
			})
		})
	}
}

// A write whose answer is lost is never a second deployment.
func TestUnknownOutcome(t *testing.T) {
	cut := &marathon.Error{Sent: true, Cause: errors.New("connection reset")}
	broken := &marathon.Error{Status: 500, Sent: true, Message: "boom"}
	away := &marathon.Error{Cause: errors.New("connection refused")}
	for name, f := range map[string]struct {
		before, after error
		times         int
		result        Result
		words         string
		deployments   int
	}{
		"taken, answer lost":      {nil, cut, 1, Applied, "", 1},
		"taken, answered 500":     {nil, broken, 1, Applied, "", 1},
		"not taken, cut":          {cut, nil, 1, Applied, "", 1},
		"not taken, twice 500":    {broken, nil, 2, Applied, "", 1},
		"always 500":              {broken, nil, 99, Failed, "Marathon answered 500: boom (tried 6 times)", 0},
		"never there":             {away, nil, 99, Unknown, "connection refused", 0},
		"there at the third time": {away, nil, 2, Applied, "", 1},
	} {
		for _, action := range []plan.Action{plan.Create, plan.Update, plan.Delete} {
			t.Run(name+", "+string(action), func(t *testing.T) {
				in(t, func(t *testing.T, c *cluster) {
					ch := change(action, appOf("/a", "two", 1))
					if action != plan.Create {
						c.has(appOf("/a", "one", 1))
					}
					if action == plan.Delete {
						ch = deletion("/a")
					}
					n := 0
					fault := func(err error) func(string) error {
						return func(string) error {
							if n++; err != nil && n <= f.times {
								return err
							}
							return nil
						}
					}
					if f.before != nil {
						c.before = fault(f.before)
					} else {
						c.after = fault(f.after)
					}
					got := New(c, Options{}).Apply(t.Context(), planOf(ch), Request{})
					want(t, got, map[string]Result{"/a": f.result})
					if c.writes["/a"] != f.deployments || !strings.Contains(reason(got, "/a"), f.words) {
						t.Errorf("%d writes were taken, reason %q", c.writes["/a"], reason(got, "/a"))
					}
				})
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, f := range map[string]struct {
		err       *marathon.Error
		result    Result
		transient bool
		words     string
	}{
		"422": {&marathon.Error{Status: 422, Sent: true, Message: "Object is not valid", Details: []marathon.Detail{{Path: "/cmd", Errors: []string{"bad"}}}},
			Failed, false, "Marathon refused the definition: Object is not valid; /cmd: bad"},
		"403":    {&marathon.Error{Status: 403, Sent: true, Message: "Not Authorized"}, Failed, false, "grant Pacer's user this permission"},
		"401":    {&marathon.Error{Status: 401, Sent: true}, Failed, true, "check user and password"},
		"hidden": {&marathon.Error{Status: 409, Sent: true, Message: "An app with id [/a] already exists."}, Blocked, false, "no permission to view"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, c *cluster) {
				c.before = func(call string) error {
					if strings.HasSuffix(call, " /a") {
						return f.err
					}
					return nil
				}
				got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Create, appOf("/a", "x", 1)), change(plan.Create, appOf("/free", "x", 1))), Request{})
				want(t, got, map[string]Result{"/a": f.result, "/free": Applied})
				if !strings.Contains(got[0].Reason, f.words) || got[0].Transient != f.transient || c.called("POST /a") != 1 {
					t.Errorf("%+v, calls %v", got[0], c.calls)
				}
			})
		})
	}
}

func TestTooManyDeployments(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.maxRunning = 3
		var changes []plan.Change
		for i := range 9 {
			changes = append(changes, change(plan.Create, appOf(fmt.Sprintf("/a%d", i), "x", 1)))
		}
		for _, o := range New(c, Options{}).Apply(t.Context(), planOf(changes...), Request{}) {
			if o.Result != Applied {
				t.Errorf("%+v", o)
			}
		}
		if n := c.called("POST"); n > 40 {
			t.Errorf("%d writes for 9 apps: no back-off", n)
		}
	})
}

func TestArrays(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/n/100", "theirs", 1))
		var changes []plan.Change
		expected := map[string]Result{}
		for i := range 150 {
			a := appOf(fmt.Sprintf("/n/%03d", i), "x", 1)
			expected[a.ID] = Applied
			switch i {
			case 7, 77:
				a.Cmd = nil
				expected[a.ID] = Failed
			case 100:
				expected[a.ID] = Blocked
			}
			changes = append(changes, change(plan.Create, a))
		}
		got := New(c, Options{BatchSize: 50}).Apply(t.Context(), planOf(changes...), Request{})
		want(t, got, expected)
		if *c.apps["/n/100"].def.Cmd != "theirs" {
			t.Error("an array replaced what somebody else had made meanwhile")
		}
		if arrays, singles := c.called("ARRAY"), c.called("POST"); arrays > 12 || singles > 10 {
			t.Errorf("%d arrays and %d single writes: %v", arrays, singles, c.calls)
		}
	})
}

// An autoscaler that scales between the plan and its turn, or in the middle of
// the rollout, is not undone, and nor is who sets what is ignored.
func TestAutoscalerDuringAnApply(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/db", "one", 1), appOf("/web", "one", 2))
		scale := func(n int) {
			c.mu.Lock()
			defer c.mu.Unlock()
			def := *c.apps["/web"].def // which has been handed out
			def.Instances = &n
			c.apps["/web"].def = &def
		}
		label := func(labels map[string]string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			def := *c.apps["/web"].def
			def.Labels = labels
			c.apps["/web"].def = &def
		}
		web := change(plan.Update, appOf("/web", "two", 2))
		web.App.Dependencies, web.Kept = []string{"/db"}, &plan.Kept{Instances: plan.Instances{Live: true}, Ignored: []string{"/labels/build"}}
		c.startup = 20 * time.Second
		time.AfterFunc(10*time.Second, func() { scale(5) })                               // it waits for /db
		time.AfterFunc(10*time.Second, func() { label(map[string]string{"build": "7"}) }) // as does this
		time.AfterFunc(30*time.Second, func() { scale(6) })                               // it is rolled out
		got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Update, appOf("/db", "two", 1)), web), Request{})
		want(t, got, map[string]Result{"/db": Applied, "/web": Applied})
		if a := c.apps["/web"]; *a.def.Instances != 6 || a.def.Labels["build"] != "7" || *a.def.Cmd != "two" || c.writes["/web"] != 1 {
			t.Errorf("%d instances, labels %v, %d writes", *a.def.Instances, a.def.Labels, c.writes["/web"])
		}
	})
}

// What runs already goes alone, so that none of it locks another, and no more
// of it at once than is allowed; nothing is written twice.
func TestUpdatesGoAlone(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		var changes []plan.Change
		for i := range 60 {
			id := fmt.Sprintf("/u/%02d", i)
			c.has(appOf(id, "one", 1))
			changes = append(changes, change(plan.Update, appOf(id, "two", 1)))
		}
		for _, o := range New(c, Options{MaxInFlight: 7}).Apply(t.Context(), planOf(changes...), Request{}) {
			if o.Result != Applied || c.writes[o.ID] != 1 || c.restarts[o.ID] != 1 {
				t.Errorf("%+v, %d writes, %d restarts", o, c.writes[o.ID], c.restarts[o.ID])
			}
		}
		if n := c.called("PUT /u/"); n != 60 || c.called("ARRAY") != 0 || c.called("PUT!") != 0 || c.peak != 7 {
			t.Errorf("%d single writes, %d at once: %v", n, c.peak, c.calls)
		}
	})
}

func TestHangingOnesDoNotHoldUpTheRest(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		var changes []plan.Change
		for i := range 4 {
			c.has(appOf(fmt.Sprintf("/h%d", i), "x", 1))
			changes = append(changes, change(plan.Update, appOf(fmt.Sprintf("/h%d", i), "hang", 1)))
		}
		c.has(appOf("/z", "x", 1))
		changes = append(changes, change(plan.Update, appOf("/z", "y", 1)))
		got := New(c, Options{MaxInFlight: 2}).Apply(t.Context(), planOf(changes...), Request{})
		if z := got[4]; z.Result != Applied || z.Ended.Sub(got[0].Began) > 90*time.Second {
			t.Errorf("/z: %+v", z)
		}
		if c.peak > 8 {
			t.Errorf("%d deployments at once", c.peak)
		}
	})
}

func TestRolloutOfBeforeIsWatchedToItsEnd(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/up", "x", 1), appOf("/gone", "x", 1))
		began := time.Now().Add(-5 * time.Minute)
		r, err := c.PutApp(t.Context(), appOf("/stuck", "hang", 1), false)
		if err != nil {
			t.Fatal(err)
		}
		got := New(c, Options{}).Apply(t.Context(), planOf(), Request{Rollouts: map[string]Rollout{
			"/up":    {Kind: manifests.KindApp, Action: plan.Update, Deployment: "old", Hash: "h", Began: began},
			"/stuck": {Kind: manifests.KindApp, Action: plan.Create, Deployment: r.Deployment, Began: began},
		}})
		want(t, got, map[string]Result{"/up": Applied, "/stuck": Failed})
		if d := got[0].Ended.Sub(began); got[0].ID != "/stuck" || d < 10*time.Minute || d > 11*time.Minute {
			t.Errorf("%+v: the deadline must run from the beginning", got[0])
		}
		if c.writes["/up"] != 0 || c.writes["/stuck"] != 1 {
			t.Errorf("writes: %v", c.writes)
		}
	})
}

func TestUnreadableMarathonIsUnknown(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/old", "x", 1))
		time.AfterFunc(500*time.Millisecond, func() {
			c.mu.Lock()
			c.unreadable = &marathon.Error{Status: 503, Sent: true, Message: "away"}
			c.mu.Unlock()
		})
		got := New(c, Options{Deadline: time.Minute}).Apply(t.Context(), planOf(change(plan.Create, appOf("/a", "x", 1)), deletion("/old")), Request{})
		want(t, got, map[string]Result{"/a": Unknown, "/old": Unknown})
		if c.apps["/old"] == nil {
			t.Error("something was deleted while cannot read Marathon")
		}
	})
}

func TestCutOff(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		ctx, cancel := context.WithCancel(t.Context())
		// The end comes while a write is under way: its deployment is known nevertheless.
		c.after = func(string) error { cancel(); return nil }
		var noted string
		got := New(c, Options{}).Apply(ctx, planOf(change(plan.Create, appOf("/a", "x", 1)), change(plan.Create, appOf("/b", "x", 1))),
			Request{Progress: func(o Outcome) { noted += o.Deployment }})
		want(t, got, map[string]Result{"/a": Unknown, "/b": Unknown})
		if got[0].Deployment == "" || noted == "" || c.writes["/b"] != 0 {
			t.Errorf("%+v, noted %q, writes %v", got, noted, c.writes)
		}
		if a, b := reason(got, "/a"), reason(got, "/b"); a != "interrupted: Pacer was stopped" || b != a+", not started" {
			t.Errorf("told %q and %q", a, b)
		}
	})
}

// Who interrupts an apply, or sets a limit to it, is told what was known by then of
// all that had not ended.
func TestWhatIsKnownOutlivesAnInterruption(t *testing.T) {
	late := errors.New("timed out after 8s (flag --timeout)")
	for name, c := range map[string]struct {
		after time.Duration
		cause error
		said  string
	}{
		"Ctrl-C, soon":       {300 * time.Millisecond, context.Canceled, "interrupted: Pacer was stopped; "},
		"Ctrl-C, explained":  {8 * time.Second, context.Canceled, "interrupted: Pacer was stopped; "},
		"--timeout":          {8 * time.Second, late, "interrupted: timed out after 8s (flag --timeout); "},
		"superseded":         {8 * time.Second, ErrSuperseded, "superseded by a newer revision; "},
		"Marathon goes away": {0, nil, "the result is unknown: Marathon could not be read until the deadline; before that: "},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, m *cluster) {
				m.has(appOf("/live", "x", 1))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if c.cause != nil {
					time.AfterFunc(c.after, func() { cancel(c.cause) })
				} else {
					time.AfterFunc(8*time.Second, func() {
						m.mu.Lock()
						defer m.mu.Unlock()
						m.unreadable = &marathon.Error{Status: 503, Sent: true, Message: "away"}
					})
				}
				dependent := appOf("/dependent", "x", 1)
				dependent.Dependencies = []string{"/crash"}
				got := New(m, Options{Deadline: time.Minute}).Apply(ctx, planOf(change(plan.Create, appOf("/crash", "crash", 3)),
					change(plan.Create, appOf("/hang", "hang", 2)), change(plan.Update, appOf("/live", "y", 1)), change(plan.Create, dependent)), Request{})
				crash, hang := "0 of 3 running, restarted ", "0 of 2 running: 57 of 57 offers refused"
				if c.after < time.Second && c.cause != nil {
					hang = "0 of 2 running"
				}
				if said := reason(got, "/crash"); !strings.HasPrefix(said, c.said+crash) || !strings.Contains(said, " times in 1 min, last on h at 00:00:0") || !strings.HasSuffix(said, "exit code 127: the command is not found") {
					t.Errorf("/crash: %s", said)
				}
				if said := reason(got, "/hang"); !strings.HasPrefix(said, c.said+hang) {
					t.Errorf("/hang: %s", said)
				}
				if said := reason(got, "/dependent"); c.cause != nil && said != strings.TrimSuffix(c.said, "; ")+", not started; waits for /crash" {
					t.Errorf("/dependent: %s", said)
				}
				if said := reason(got, "/live"); c.after == 8*time.Second && !strings.HasPrefix(said, c.said+"1 of 1 running, not yet for the settling time of 5s") && said != "" {
					t.Errorf("/live: %s", said)
				}
			})
		})
	}
}

// Who goes on with a rollout says so; it is no end that a log needs to tell.
func TestHandedOver(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.startup = time.Hour
		var log strings.Builder
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(fmt.Errorf("%w? no: it goes on", ErrSuperseded)) })
		a := New(c, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		got := a.Apply(ctx, planOf(change(plan.Create, appOf("/a", "x", 1))), Request{})
		want(t, got, map[string]Result{"/a": Superseded})
		if said := reason(got, "/a"); said != "superseded by a newer revision? no: it goes on" || strings.Contains(log.String(), "change ended") {
			t.Errorf("said %q, logged %s", said, log.String())
		}
	})
}

func TestEventsHastenTheLook(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.startup = 30 * time.Second
		events := make(chan struct{})
		done := make(chan struct{})
		go func() {
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				select {
				case <-done:
					return
				case events <- struct{}{}:
				}
			}
		}()
		start := time.Now()
		got := New(c, Options{PollInterval: time.Hour, Settle: -1}).Apply(t.Context(), planOf(change(plan.Create, appOf("/a", "x", 1))), Request{Events: events})
		close(done)
		want(t, got, map[string]Result{"/a": Applied})
		if took := time.Since(start); took > 33*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

func TestPodsAndGroups(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		pod := &manifests.Pod{ID: "/p", Scaling: &manifests.Scaling{Kind: "fixed", Instances: new(2)}}
		c.pods["/q"] = &fakePod{def: &manifests.Pod{ID: "/q"}}
		c.has(appOf("/full/a", "x", 1))
		group := func(action plan.Action, id string) plan.Change {
			return plan.Change{ID: id, Kind: manifests.KindGroup, Action: action, Group: &manifests.Group{ID: id, Dependencies: []string{"/x"}}}
		}
		got := New(c, Options{}).Apply(t.Context(), planOf(
			plan.Change{ID: "/p", Kind: manifests.KindPod, Action: plan.Create, Pod: pod},
			plan.Change{ID: "/q", Kind: manifests.KindPod, Action: plan.Delete},
			group(plan.Update, "/g"), group(plan.Delete, "/empty"), group(plan.Delete, "/full"),
		), Request{})
		want(t, got, map[string]Result{"/p": Applied, "/q": Applied, "/g": Applied, "/empty": Applied, "/full": Blocked})
		if c.pods["/q"] != nil || c.pods["/p"] == nil || c.groups["/g"] == nil || c.apps["/full/a"] == nil {
			t.Error("Marathon is not as wanted")
		}
	})
}

// Whatever the plan and whatever goes wrong, each change ends once, with one
// result, and where nothing failed Marathon holds what was wanted. What was
// not in the plan is not touched.
func TestEveryChangeEndsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 14).Draw(rt, "n")
		faults := rapid.SliceOfN(rapid.IntRange(0, 12), 60, 60).Draw(rt, "faults")
		kinds := rapid.SliceOfN(rapid.IntRange(0, 4), n, n).Draw(rt, "kinds")
		cmds := rapid.SliceOfN(rapid.SampledFrom([]string{"x", "x", "y", "hang", "crash"}), n, n).Draw(rt, "cmds")
		depends := rapid.SliceOfN(rapid.IntRange(-6, n-1), n, n).Draw(rt, "depends")
		synctest.Test(t, func(*testing.T) { everyChangeEndsOnce(rt, faults, kinds, cmds, depends) })
	})
}

func everyChangeEndsOnce(rt *rapid.T, faults, kinds []int, cmds []string, depends []int) {
	c := newCluster()
	c.has(appOf("/bystander", "x", 1))
	var changes []plan.Change
	for i, kind := range kinds {
		a := appOf(fmt.Sprintf("/a%d", i), cmds[i], 1+i%3)
		if depends[i] >= 0 {
			a.Dependencies = []string{fmt.Sprintf("/a%d", depends[i])}
		}
		switch kind {
		case 0, 1:
			changes = append(changes, change(plan.Create, a))
		case 2:
			c.has(appOf(a.ID, "old", 2))
			changes = append(changes, change(plan.Update, a))
		case 3:
			c.has(appOf(a.ID, "x", 1))
			changes = append(changes, deletion(a.ID))
		case 4:
			ch := change(plan.Update, a)
			ch.Blocked = new("no")
			changes = append(changes, ch)
		}
	}
	next := func(errs ...error) func(string) error {
		return func(string) error {
			if len(faults) == 0 {
				return nil
			}
			f := faults[0]
			faults = faults[1:]
			if f < len(errs) {
				return errs[f]
			}
			return nil
		}
	}
	c.before = next(&marathon.Error{Status: 500, Sent: true, Message: "b"}, &marathon.Error{Sent: true, Cause: errors.New("cut")},
		&marathon.Error{Cause: errors.New("away")}, &marathon.Error{Status: 403, Sent: true, Message: "Max number (100)"})
	c.after = next(&marathon.Error{Status: 502, Sent: true}, &marathon.Error{Sent: true, Cause: errors.New("cut")})
	ended := map[string]int{}
	got := New(c, Options{MaxInFlight: 3, Deadline: time.Minute}).Apply(context.Background(), planOf(changes...), Request{Progress: func(o Outcome) {
		if o.Result != "" {
			ended[o.ID]++
		}
	}})
	if len(got) != len(changes) {
		rt.Fatalf("%d outcomes of %d changes", len(got), len(changes))
	}
	for i, o := range got {
		ch := changes[i]
		if o.ID != ch.ID || o.Result == "" || ended[o.ID] > 1 || (ended[o.ID] == 0) != (ch.Blocked != nil) {
			rt.Errorf("%+v ended %d times", o, ended[o.ID])
		}
		if o.Result != Applied {
			if o.Reason == "" {
				rt.Errorf("%+v has no reason", o)
			}
			continue
		}
		live := c.apps[o.ID]
		switch {
		case ch.Action == plan.Delete && live != nil, ch.Action != plan.Delete && live == nil:
			rt.Errorf("%+v, yet Marathon has %v", o, live)
		case live != nil && (manifests.HashApp(live.def) != ch.Hash || len(live.tasks) != *ch.App.Instances || c.writes[o.ID] < 1):
			rt.Errorf("%+v, yet Marathon has %+v", o, live)
		}
	}
	if c.writes["/bystander"] != 0 || c.restarts["/bystander"] != 0 {
		rt.Error("what was not in the plan was touched")
	}
}

// Up for a moment is not up.
func TestMustStayUpForTheSettlingTime(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "x", 1))
		begin := time.Now()
		for i := range 5 { // it runs for a second, and then starts again for another
			at := time.Duration(i) * 2 * time.Second
			time.AfterFunc(at, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				for _, task := range c.apps["/a"].tasks {
					task.running = time.Now().Add(time.Second)
				}
			})
		}
		got := New(c, Options{PollInterval: 200 * time.Millisecond}).Apply(t.Context(), planOf(change(plan.Scale, appOf("/a", "x", 2))), Request{})
		want(t, got, map[string]Result{"/a": Applied})
		if up := got[0].Ended.Sub(begin); up < 9*time.Second+2*time.Second {
			t.Errorf("applied after %s, though it stays up from 9 s on and must for 2 s", up)
		}
	})
}

// Marathon may run more tasks than it was asked for and ends them by itself in
// its own time: they are waited out, and nothing is sent for their sake.
func TestTooManyTasksAreWaitedOut(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		c.has(appOf("/a", "x", 3))
		a := c.apps["/a"]
		for range 2 {
			a.tasks = append(a.tasks, &fakeTask{a.version, time.Now()})
		}
		a.surplus = time.Now().Add(4 * time.Minute)
		begin, said := time.Now(), ""
		got := New(c, Options{}).Apply(t.Context(), planOf(change(plan.Scale, appOf("/a", "x", 4))), Request{
			Progress: func(o Outcome) { said = cmp.Or(o.Reason, said) },
		})
		want(t, got, map[string]Result{"/a": Applied})
		if took := got[0].Ended.Sub(begin); took < 4*time.Minute || c.writes["/a"] != 1 || len(a.tasks) != 4 {
			t.Errorf("applied after %s, %d writes, %d tasks", took, c.writes["/a"], len(a.tasks))
		}
		if said != "5 of 4 running: 1 surplus, which Marathon will kill" {
			t.Errorf("said %q", said)
		}
	})
}

// After a rollback by somebody else, whose version is older than the tasks that
// it must replace, a list says that no task is outdated. It is not believed.
func TestListsAreNotBelievedAfterARollback(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		rollouts := map[string]Rollout{}
		for i := range 2 * singleReads {
			id := fmt.Sprintf("/a%d", i)
			c.has(appOf(id, "x", 1))
			rollouts[id] = Rollout{Kind: manifests.KindApp, Action: plan.Update, Began: time.Now()}
		}
		old := time.Now().Add(-time.Hour)
		c.apps["/a0"].version, c.apps["/a0"].config = old, old
		for _, o := range New(c, Options{}).Apply(t.Context(), planOf(), Request{Rollouts: rollouts}) {
			if o.Result != Applied {
				t.Errorf("%+v", o)
			}
		}
		if c.called("RESTART") != 1 || c.apps["/a0"].tasks[0].version.Before(c.apps["/a0"].config) {
			t.Errorf("the task of the rolled back app was not replaced: %v", c.calls)
		}
	})
}

package apply

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// hold begins a deployment of somebody else, of apps and pods, for so long.
func (c *cluster) hold(apps, pods []string, long time.Duration) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	d, err := c.deploy(true, apps, pods)
	if err != nil {
		panic(err)
	}
	d.stop, d.ends = true, time.Now().Add(long)
	return d.ID
}

// What a deployment holds that the plan was made beside is not written until that
// has ended: each such write would be answered 409. It is written soon after.
func TestLocksThatAreSeenAreNotRunInto(t *testing.T) {
	podOf := func(cmd string) *manifests.Pod {
		return &manifests.Pod{ID: "/p", Containers: []manifests.PodContainer{{Name: "c", Exec: &manifests.Exec{Command: &manifests.Command{Shell: &cmd}}}}}
	}
	const long = 20 * time.Second
	for name, c := range map[string]struct {
		change plan.Change
		write  string
	}{
		"update":        {change(plan.Update, appOf("/a", "two", 1)), "PUT /a"},
		"scale":         {change(plan.Scale, appOf("/a", "one", 3)), "PUT /a"},
		"delete":        {deletion("/a"), "DELETE /a"},
		"create again":  {change(plan.Create, appOf("/new", "one", 1)), "POST /new"},
		"update a pod":  {plan.Change{ID: "/p", Kind: manifests.KindPod, Action: plan.Update, Pod: podOf("two")}, "PUTPOD /p"},
		"delete a pod":  {plan.Change{ID: "/p", Kind: manifests.KindPod, Action: plan.Delete}, "DELPOD /p"},
		"revert":        {plan.Change{ID: "/a", Kind: manifests.KindApp, Action: plan.Update, App: appOf("/a", "two", 1), Revert: true}, "PUT /a"},
		"what is ready": {change(plan.Update, appOf("/free", "two", 1)), "PUT /free"},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T, m *cluster) {
				m.has(appOf("/a", "one", 1), appOf("/free", "one", 1))
				if _, err := m.PutPod(t.Context(), podOf("one"), false); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				id := m.hold([]string{"/a", "/new"}, []string{"/p"}, long)
				running, _ := m.Deployments(t.Context())
				m.calls = nil
				start, begun, waits := time.Now(), time.Time{}, ""
				got := New(m, Options{}).Apply(t.Context(), planOf(c.change), Request{Running: running, Progress: func(o Outcome) {
					switch {
					case strings.Contains(o.Reason, id):
						waits = o.Reason
					case !o.Began.IsZero() && begun.IsZero():
						begun = o.Began
					}
				}})
				want(t, got, map[string]Result{c.change.ID: Applied})
				writes := slices.DeleteFunc(slices.Clone(m.calls), func(call string) bool { return call == "LIST" })
				if !slices.Equal(writes, []string{c.write}) {
					t.Errorf("written: %q, expected %q alone", writes, c.write)
				}
				wait := begun.Sub(start)
				if c.change.ID == "/free" {
					if wait != 0 {
						t.Errorf("what nobody holds was written after %s", wait)
					}
				} else if wait < long || wait > long+2*time.Second || waits == "" {
					t.Errorf("written after %s, expected %s and a moment; told %q", wait, long, waits)
				}
			})
		})
	}
}

// What is Pacer's own deployment is written over at once, without being refused.
func TestOwnLocksThatAreSeenAreForced(t *testing.T) {
	in(t, func(t *testing.T, m *cluster) {
		m.has(appOf("/a", "one", 1))
		own := m.hold([]string{"/a"}, nil, time.Hour)
		running, _ := m.Deployments(t.Context())
		got := New(m, Options{}).Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "two", 1))), Request{Running: running, Deployments: []string{own}})
		want(t, got, map[string]Result{"/a": Applied})
		if m.called("PUT /a") != 0 || m.called("PUT! /a") != 1 {
			t.Errorf("calls %q", m.calls)
		}
	})
}

// A deployment that has ended since the plan was made holds up nothing, and one of
// somebody else that has begun since is not forced for a deployment of Pacer's that
// is gone.
func TestLocksAreReadAgainBeforeTheyAreBelieved(t *testing.T) {
	in(t, func(t *testing.T, m *cluster) {
		m.has(appOf("/a", "one", 1), appOf("/b", "one", 1))
		ownA, ownB := m.hold([]string{"/a"}, nil, time.Second), m.hold([]string{"/b"}, nil, time.Second)
		running, _ := m.Deployments(t.Context())
		time.Sleep(2 * time.Second)
		m.hold([]string{"/b"}, nil, 10*time.Second)
		start, begun := time.Now(), map[string]time.Duration{}
		got := New(m, Options{}).Apply(t.Context(), planOf(change(plan.Update, appOf("/a", "two", 1)), change(plan.Update, appOf("/b", "two", 1))),
			Request{Running: running, Deployments: []string{ownA, ownB}, Progress: func(o Outcome) {
				if _, known := begun[o.ID]; !known && !o.Began.IsZero() {
					begun[o.ID] = o.Began.Sub(start)
				}
			}})
		want(t, got, map[string]Result{"/a": Applied, "/b": Applied})
		if begun["/a"] != 0 || begun["/b"] < 10*time.Second || m.called("PUT! /b") != 0 || m.called("PUT /b") != 1 {
			t.Errorf("begun after %v, calls %q", begun, m.calls)
		}
	})
}

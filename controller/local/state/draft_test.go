package state

import (
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/manifests"
)

// TestWhatAChangeDoesToVersions is the table above Draft.place.
func TestWhatAChangeDoesToVersions(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(v *Versions, change func(*Draft)) (*RunSpec, []Step) {
		t.Helper()
		d := v.Draft(v.Next(now), manifests.DefaultCluster())
		change(d)
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
		v.Commit(d)
		return v.Root.App("/a"), d.Steps()
	}
	put := func(change func(*manifests.App)) func(*Draft) {
		return func(d *Draft) {
			a := manifests.App{ID: "/a", Cmd: new("sleep 1"), Instances: new(1)}
			change(&a)
			d.Put(&RunSpec{ID: "/a", App: &a})
		}
	}
	for name, c := range map[string]struct {
		change                                  func(*Draft)
		version, scaledAt, configAt, generation bool // are new
		steps                                   string
	}{
		"none":     {put(func(*manifests.App) {}), false, false, false, false, ""},
		"metadata": {put(func(a *manifests.App) { a.ExecutorResources = &manifests.ExecutorResources{CPUs: new(0.2)} }), false, false, false, false, ""},
		"scale":    {func(d *Draft) { d.Scale("/a", 2) }, true, true, false, false, "ScaleApplication"},
		"restart":  {put(func(a *manifests.App) { a.Cmd = new("sleep 2") }), true, true, true, true, "RestartApplication"},
		"forced":   {func(d *Draft) { d.Restart(d.App("/a")) }, true, true, true, true, "RestartApplication"},
	} {
		v := NewVersions(NewRootGroup(At(now)))
		was, _ := write(v, put(func(*manifests.App) {}))
		is, steps := write(v, c.change)
		for what, both := range map[string][2]bool{
			"version": {is.Version != was.Version, c.version}, "lastScalingAt": {is.ScaledAt != was.ScaledAt, c.scaledAt},
			"lastConfigChangeAt": {is.ConfigAt != was.ConfigAt, c.configAt}, "generation": {is.Generation != was.Generation, c.generation},
		} {
			if both[0] != both[1] {
				t.Errorf("%s: %s is new: %v, want %v", name, what, both[0], both[1])
			}
		}
		got := ""
		for _, s := range steps {
			for _, a := range s.Actions {
				got += a.Action
			}
		}
		if got != c.steps {
			t.Errorf("%s: steps %q, want %q", name, got, c.steps)
		}
	}
}

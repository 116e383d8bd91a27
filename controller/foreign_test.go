package controller

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests"
)

// What somebody made by hand in the scope of a sync that prunes outlives every
// delete of the sync, also where the inventory was never known; in an exclusive
// scope it goes.
func TestWhatOthersMadeOnTheLocalMarathon(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	s := newStack(t)
	theirs, cmd := "/shop/theirs/hand", "exec sleep 1000"
	if _, err := s.client.CreateApp(t.Context(), &manifests.App{ID: theirs, Cmd: &cmd, CPUs: new(0.01), Mem: new(16.0)}, false); err != nil {
		t.Fatal(err)
	}
	tree := map[string]string{"web.json": s.definition("web", "sleep 1000", 1), "api.json": s.definition("api", "sleep 1000", 1)}
	s.push(tree)
	c, stop := s.start()
	s.awaitStates(c, "api: synced, healthy; web: synced, healthy")
	delete(tree, "web.json")
	s.push(tree)
	eventually(t, "the delete of what git dropped", func() (bool, string) {
		now := s.running("web")
		return len(now) == 0, fmt.Sprint(now)
	})
	s.awaitStates(c, "api: synced, healthy")
	s.looked(c)
	if _, err := s.client.App(t.Context(), theirs); err != nil {
		t.Errorf("what somebody made by hand is gone: %v", err)
	}
	stop()

	s.options.Syncs[0].Policy.Exclusive = true
	c, stop = s.start()
	defer stop()
	eventually(t, "the delete in an exclusive scope", func() (bool, string) {
		apps, err := s.client.Apps(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for id := range apps {
			ids = append(ids, id)
		}
		return slices.Equal(ids, []string{"/shop/api"}), fmt.Sprint(ids)
	})
	s.awaitStates(c, "api: synced, healthy")
}

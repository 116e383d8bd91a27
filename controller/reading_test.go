package controller

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadingEndsBetweenFiles: a snapshot that takes hours to read holds up
// neither the end of the process nor a newer revision, and nothing is changed for
// the part of it that was read.
func TestReadingEndsBetweenFiles(t *testing.T) {
	many := map[string]string{}
	for i := range 2000 {
		many[fmt.Sprintf("app%d.json", i)] = manifest(fmt.Sprintf("/shop/app%d", i), "v1")
	}
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		g.runs("/shop/a=v1")

		g.repo.slow = 10 * time.Second
		g.repo.push(many)
		after(time.Minute)
		g.runs("/shop/a=v1")
		if !g.sync("shop").Running {
			t.Fatal("the snapshot was read in a minute: nothing is tested")
		}

		g.repo.slow = 0
		g.repo.push(files("/shop/a", "v2"))
		after(20 * time.Second)
		g.runs("/shop/a=v2")

		g.repo.slow = 10 * time.Second
		g.repo.push(many)
		after(time.Minute)
		began := time.Now()
		g.stop()
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the end took %v", took)
		}
		g.runs("/shop/a=v2")
		if owned := g.shelf.state(t, "shop").Inventory; len(owned) != 1 {
			t.Errorf("%d ids in the inventory, want a alone", len(owned))
		}
	})
}

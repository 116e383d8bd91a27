package controller

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/status"
)

// A replica whose only git is away is not ready: at once where it was never read,
// after a while where it was, and again once it is back.
func TestReadinessFollowsTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "one"))
		g.repo.away(errors.New("connection refused"))
		g.start()
		defer g.stop()
		ready := func(want string) {
			t.Helper()
			if got := strings.Join(g.Status().NotReady(), "\n"); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("not ready for %q, want %q", got, want)
			}
		}
		ready("sync shop: its source has not been fetched yet: connection refused")
		g.repo.away(nil)
		after(2 * testInterval)
		ready("")
		g.repo.away(errors.New("connection refused"))
		if err := g.Trigger("shop", ada); err != nil { // the first fetch that fails
			t.Fatal(err)
		}
		after(status.SourceGrace - time.Second)
		ready("")
		after(2 * time.Second)
		ready("sync shop: its source cannot be read since ")
		g.repo.away(nil)
		after(2 * testInterval)
		ready("")
	})
}

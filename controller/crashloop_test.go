package controller

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/status"
)

// While a rollout is a crash loop, the reason says how often it was restarted, and
// never other counts than those that are shown beside it, which flip each second.
func TestACrashLoopInARolloutIsToldWithItsRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, "a")
		defer f.close()
		leader := f.replicas[0]
		leader.lead()
		after(10 * time.Second)
		f.origin.Commit("a crash loop", map[string]string{
			"loop.json": `{"id": "/shop/loop", "cmd": "run", "cpus": 0.01, "mem": 8, "labels": {"local.fail-after": "3"}}`})
		leader.sync()
		said := regexp.MustCompile(`^(\d+) of (\d+) running`)
		restarted, counts := 0, map[string]bool{}
		for range 300 {
			after(200 * time.Millisecond)
			var loop status.App
			for _, a := range leader.Status().Syncs[0].Apps {
				if a.ID == "/shop/loop" {
					loop = a
				}
			}
			if loop.Condition != status.InRollout {
				t.Fatalf("it is no rollout under way: %+v", loop)
			}
			if m := said.FindStringSubmatch(loop.Reason); m != nil {
				counts[m[1]] = true
				if want := fmt.Sprintf("%d of %d", loop.Instances.Running, loop.Instances.Desired); m[1]+" of "+m[2] != want {
					t.Fatalf("%s is shown beside %q", want, loop.Reason)
				}
			}
			if _, text, found := strings.Cut(loop.Reason, "restarted "); found {
				n, _ := strconv.Atoi(text[:strings.IndexByte(text, ' ')])
				if n < restarted {
					t.Fatalf("it was restarted %d times before, and now %q", restarted, loop.Reason)
				}
				restarted = n
			}
		}
		if restarted < 8 || len(counts) != 2 {
			t.Errorf("after more than a minute it was restarted %d times, and its reasons said counts of %v", restarted, counts)
		}
	})
}

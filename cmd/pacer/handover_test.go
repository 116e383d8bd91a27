package main

import (
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// cutGit ends a replica's way to git, or gives it back.
func (r *replicaProcess) cutGit(cut bool) {
	if !cut {
		r.git.Handle(nil)
		return
	}
	r.git.Handle(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// neverBack looks at Marathon all the time until the returned function is called:
// no app goes back to an earlier revision, and none goes.
func (c *cluster) neverBack() (rest func()) {
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		highest := map[string]int{}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			live := c.live()
			for id, before := range highest {
				if now, there := live[id]; !there || now < before {
					c.t.Errorf("%s was at revision %d, and is at %d now (there: %v)", id, before, now, there)
				}
			}
			highest = live
		}
	})
	var once sync.Once
	rest = func() { once.Do(func() { close(stop) }); group.Wait() }
	c.t.Cleanup(rest)
	return rest
}

// applyNewest pushes, and has the leader apply that: the others do not know of it.
func (c *cluster) applyNewest(leader *replicaProcess) int {
	c.t.Helper()
	revision := c.push()
	if code := leader.post("/api/v1/syncs/shop/sync"); code != http.StatusAccepted {
		c.t.Fatalf("sync: %d", code)
	}
	zktest.Await(c.t, fmt.Sprintf("revision %d", revision), func() bool { return c.applied(revision) })
	return revision
}

// Three processes with clones and ways to git of their own, at the default
// interval: whoever takes over has fetched last before the newest push.
func TestHandOversOfProcessesWithClonesOfTheirOwnNeverGoBack(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newClusterOf(t, zktest.Shared(t), 3, shortSession, gittest.New(t))
	zktest.Await(t, "the first revision", func() bool { return c.applied(1) })
	rest := c.neverBack()
	for i := range 4 {
		leader := c.leader()
		revision := c.applyNewest(leader)
		if i%2 == 0 {
			leader.signal(syscall.SIGTERM)
			if err := leader.cmd.Wait(); err != nil {
				t.Error(err)
			}
		} else {
			leader.kill()
		}
		next := c.leader(leader)
		zktest.Await(t, "that the next leader follows git", func() bool { return next.follows(revision) })
		leader.start()
		if !c.applied(revision) {
			t.Errorf("hand-over %d: Marathon has %v", i, c.live())
		}
	}
	rest()

	// With git away from all that may take over, who does holds, and hands over as
	// soon as one is there that can fetch.
	leader := c.leader()
	zktest.Await(t, "three candidates", func() bool { return leader.status().Leader.Candidates == 3 })
	for _, r := range c.replicas {
		r.cutGit(r != leader)
	}
	rest = c.neverBack()
	revision := c.applyNewest(leader)
	leader.signal(syscall.SIGTERM)
	if err := leader.cmd.Wait(); err != nil {
		t.Error(err)
	}
	next := c.leader(leader)
	zktest.Await(t, "that it says so", func() bool {
		s := next.status()
		return len(s.Syncs) == 1 && s.Syncs[0].Hold != nil && s.Syncs[0].Hold.Reconciles
	})
	if !c.applied(revision) {
		t.Errorf("held: Marathon has %v", c.live())
	}
	rest()
	c.deleteApp("/shop/app-0")
	zktest.Await(t, "that what somebody deletes comes again", func() bool { return c.applied(revision) })
	leader.start()
	newest := c.push()
	zktest.Await(t, "that the one leads that can fetch", leader.leads)
	zktest.Await(t, "the newest revision", func() bool { return c.applied(newest) })
	c.inTurn()
}

// follows reports whether a replica has fetched a revision and compared it with
// Marathon, and rests.
func (r *replicaProcess) follows(revision int) bool {
	s := r.status()
	if len(s.Syncs) != 1 {
		return false
	}
	y := s.Syncs[0]
	return y.Revision.Subject == fmt.Sprintf("revision %d", revision) && y.PlannedRevision == y.Revision.ID && !y.Running
}

// deleteApp is a request of somebody who is not Pacer.
func (c *cluster) deleteApp(id string) {
	c.t.Helper()
	req, err := http.NewRequest(http.MethodDelete, c.marathon.URL+"/v2/apps"+id+"?force=true", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusBadRequest {
		c.t.Fatalf("delete %s: %s", id, resp.Status)
	}
}

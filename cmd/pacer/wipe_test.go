package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
	"github.com/pacer-gitops/pacer/internal/testenv"
)

// act asks a replica to act on the sync, until there is a leader to do it.
func (c *cluster) act(r *replicaProcess, verb string) {
	c.t.Helper()
	zktest.Await(c.t, verb, func() bool {
		code := r.post("/api/v1/syncs/shop/" + verb)
		if code == http.StatusConflict {
			c.t.Fatalf("%s is refused:\n%s", verb, c.leader().lastLines())
		}
		return code == http.StatusOK
	})
}

// awaitEach waits until every replica that runs shows something of the sync.
func (c *cluster) awaitEach(what string, shows func(status.Sync) bool) {
	c.t.Helper()
	zktest.Await(c.t, what+" at each replica", func() bool {
		return !slices.ContainsFunc(c.replicas, func(r *replicaProcess) bool {
			if r.cmd.ProcessState != nil {
				return false
			}
			s := r.status()
			return len(s.Syncs) != 1 || s.Syncs[0].Planned.IsZero() || !shows(s.Syncs[0])
		})
	})
}

func reportsLoss(s status.Sync) bool { return s.StateLost != nil && s.Suspended }

// keep pushes a revision and waits until a rollback can go to it.
func (c *cluster) keep() {
	c.t.Helper()
	revision := c.push()
	zktest.Await(c.t, "that the revision is kept", func() bool {
		if !c.applied(revision) {
			return false
		}
		s := c.leader().status()
		return len(s.Syncs) == 1 && len(s.Syncs[0].Kept) > 0 && s.Syncs[0].Kept[0].ID == s.Syncs[0].Revision.ID
	})
}

// onlyReports holds that a new revision leads to no write, also of the next
// leader where the one that there is ends by a signal.
func (c *cluster) onlyReports(ends ...syscall.Signal) {
	c.t.Helper()
	c.mu.Lock()
	from := len(c.record)
	c.mu.Unlock()
	for _, end := range ends {
		old := c.leader()
		old.signal(end)
		_ = old.cmd.Wait()
		old.start()
	}
	leader, began := c.leader(), time.Now()
	c.push()
	zktest.Await(c.t, "a pass of the leader", func() bool {
		s := leader.status()
		return len(s.Syncs) == 1 && s.Syncs[0].Summary.Update == c.apps && s.Syncs[0].Last != nil && s.Syncs[0].Last.Began.After(began)
	})
	c.awaitEach("the loss", reportsLoss)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.record); n != from {
		c.t.Errorf("%d writes though the sync only reports: %+v", n-from, c.record[from:])
	}
}

// A wipe of ZooKeeper resumes nothing, whatever the sync was: a person does.
func TestAWipedZooKeeperResumesNothing(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	c := newCluster(t, ownEnsemble(t), 3, shortSession)
	c.converge()
	c.keep()
	c.keep() // so that there is one to go back to
	for i, stopped := range []string{"rollback", "suspend"} {
		c.act(c.follower(), stopped)
		c.awaitEach(stopped, func(s status.Sync) bool { return s.Suspended || s.RolledBack != nil && !s.Running })
		zktest.Await(t, "that the roll-back is done", func() bool { return !c.leader().status().Syncs[0].Running })
		c.ensemble.Wipe(t)
		c.push() // else a replica finds out by the resync
		c.awaitEach("the loss after a "+stopped, reportsLoss)
		c.onlyReports([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[i])
		c.act(c.follower(), "resume")
		c.converge()
	}

	// All replicas were stopped, and the first to come back remembers nothing: what
	// it does is a first start, until one that remembers is there.
	for _, r := range c.replicas {
		r.kill()
	}
	c.ensemble.Wipe(t)
	amnesiac := c.replicas[0]
	if err := os.RemoveAll(filepath.Join(filepath.Dir(amnesiac.config), "state")); err != nil {
		t.Fatal(err)
	}
	amnesiac.start()
	c.awaitEach("a first start", func(s status.Sync) bool { return s.StateLost == nil && !s.Suspended })
	revision := c.push()
	zktest.Await(t, "the newest revision in Marathon", func() bool { return c.applied(revision) })
	c.replicas[1].start()
	zktest.Await(t, "the one that remembers", func() bool {
		s := c.replicas[1].status()
		return len(s.Syncs) == 1 && s.Syncs[0].StateLost != nil
	})
	c.push() // else the leader finds out by the resync
	c.awaitEach("the loss that one remembers", reportsLoss)
	c.replicas[2].start()
	c.awaitEach("the loss that two remember", reportsLoss)
	c.onlyReports()
	c.act(c.follower(), "resume")
	c.converge()
}

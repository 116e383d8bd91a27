package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/sources"
)

// commitBy is commit by somebody else than the one whose commit changed the path last:
// that is what the history of the repository says, or an error.
func (r *repo) commitBy(files map[string]string, last sources.Commit, err error) *int {
	r.commit(files)
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := 0
	r.snapshot.LastChange = func(ctx context.Context, _ string) (sources.Commit, error) {
		asked++
		if errors.Is(err, context.DeadlineExceeded) {
			<-ctx.Done()
			return sources.Commit{}, context.Cause(ctx)
		}
		return last, err
	}
	return &asked
}

// authors are the entries of the history, with whom they name.
func (g *rig) authors() []string {
	var all []string
	for _, e := range g.sync("shop").History {
		all = append(all, fmt.Sprintf("%s %s of %s by %s: %s", e.Result, e.Commit, e.Revision, e.Author, e.Subject))
	}
	return all
}

// The history names who made the newest commit that changed what the sync reads, be it
// an older one than the revision; where that is not known, the revision's author, and
// no commit.
func TestHistoryNamesWhoMadeTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		bob := sources.Commit{ID: "commit-of-bob", Author: "Bob", Subject: "Two of a"}
		g.repo.commitBy(files("/shop/a", "v2"), bob, nil)
		after(2 * testInterval)
		g.repo.commitBy(files("/shop/a", "v3"), sources.Commit{}, errors.New("farther back than is read"))
		after(2 * testInterval)
		began := time.Now()
		g.repo.commitBy(files("/shop/a", "v4"), sources.Commit{}, context.DeadlineExceeded)
		after(2 * testInterval)
		if e := g.sync("shop").History[0]; e.Ended.Sub(began) > testInterval*11/10 {
			t.Errorf("a server that hangs held the entry up: it ended %s after the commit", e.Ended.Sub(began))
		}
		g.repo.commitBy(files("/shop/a", "v5"), sources.Commit{ID: "commit-5", Author: "Ada", Subject: "change 5"}, nil)
		after(2 * testInterval)
		want := []string{
			"applied commit-5 of commit-5 by Ada: change 5", "applied  of commit-4 by Ada: change 4", "applied  of commit-3 by Ada: change 3",
			"applied commit-of-bob of commit-2 by Bob: Two of a", "applied  of commit-1 by Ada: change 1",
		}
		if diff := cmp.Diff(want, g.authors()); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

// Who made the change is kept with a revision that a rollback goes to, with git away,
// also where there was nothing to change.
func TestARollbackNamesWhoMadeTheChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		after(time.Minute)
		bob := sources.Commit{ID: "commit-of-bob", Author: "Bob", Subject: "Two of a"}
		g.repo.commitBy(files("/shop/a", "v1"), bob, nil)
		after(2 * testInterval)
		g.repo.push(files("/shop/a", "v2"))
		after(time.Minute)
		g.stop()
		g.repo.away(errors.New("no route to host"))
		g.start()
		defer g.stop()
		after(time.Minute)
		g.rollback(Rollback{})
		g.runs("/shop/a=v1")
		if got := g.authors()[0]; got != "applied commit-of-bob of commit-2 by Bob: Two of a" {
			t.Error(got)
		}
	})
}

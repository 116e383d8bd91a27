package apply

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// untold is a Marathon whose list does not tell of what version tasks are, so
// that each app is read for itself, a second each.
type untold struct {
	*cluster
	up map[string][]time.Time // id → when reads began that found it up
}

func (u untold) Apps(ctx context.Context) (map[string]marathon.App, error) {
	all, err := u.cluster.Apps(ctx)
	for id, a := range all {
		a.Status.Outdated = -1
		all[id] = a
	}
	return all, err
}

func (u untold) App(ctx context.Context, id string) (marathon.App, error) {
	began := time.Now()
	a, err := u.cluster.App(ctx, id)
	time.Sleep(time.Second)
	if a.Status.Running == 1 {
		u.up[id] = append(u.up[id], began)
	}
	return a, err
}

// What is read late in a look settles from then on, and not from when the look
// began.
func TestSettlingBeginsWithTheReadThatFoundItUp(t *testing.T) {
	in(t, func(t *testing.T, c *cluster) {
		start, settle := time.Now(), 2*time.Second
		rollouts := map[string]Rollout{}
		for i := range singleReads + 2 {
			id := fmt.Sprintf("/a%d", i)
			c.apps[id] = &fakeApp{def: appOf(id, "x", 1), version: start, config: start, tasks: []*fakeTask{{start, start}}}
			rollouts[id] = Rollout{Kind: manifests.KindApp, Action: plan.Update, Began: start}
		}
		last := fmt.Sprintf("/a%d", singleReads+1)
		c.apps[last].tasks[0].running = start.Add(15 * time.Second) // in the second look, before its turn
		u := untold{c, map[string][]time.Time{}}
		for _, o := range New(u, Options{Settle: settle}).Apply(t.Context(), planOf(), Request{Rollouts: rollouts}) {
			up := u.up[o.ID]
			if o.Result != Applied || len(up) == 0 || up[len(up)-1].Sub(up[0]) < settle {
				t.Errorf("%+v, found up at %v", o, up)
			}
		}
	})
}

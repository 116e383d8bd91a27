package marathon

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pacer-gitops/pacer/manifests"
)

// A list that lacks an app looks like one of a Marathon that has no such app. This
// file holds what else can be asked before that is believed.

// Ref names an app or a pod.
type Ref struct {
	ID   string
	Kind manifests.Kind
}

// Singles reads apps and pods alone. *Client is one.
type Singles interface {
	App(ctx context.Context, id string) (App, error)
	Pod(ctx context.Context, id string) (Pod, error)
}

// presentSideBySide is how many requests of Present are under way at once.
const presentSideBySide = 8

// Present reads at most so many of the refs alone, spread evenly over all of them,
// and returns the ids of those that are there, in their order.
func Present(ctx context.Context, from Singles, refs []Ref, most int) ([]string, error) {
	if n := len(refs); n > most {
		sample := make([]Ref, most)
		for i := range sample {
			sample[i] = refs[i*n/most]
		}
		refs = sample
	}
	there := make([]bool, len(refs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(presentSideBySide)
	for i, ref := range refs {
		g.Go(func() (err error) {
			if ref.Kind == manifests.KindPod {
				_, err = from.Pod(ctx, ref.ID)
			} else {
				_, err = from.App(ctx, ref.ID)
			}
			there[i] = err == nil
			return ExceptMissing(err)
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var found []string
	for i, ref := range refs {
		if there[i] {
			found = append(found, ref.ID)
		}
	}
	return found, nil
}

// treeIDs is a group with the ids of what is in it, and no more of that.
type treeIDs struct {
	ID     string    `json:"id"`
	Apps   []onlyID  `json:"apps"`
	Pods   []onlyID  `json:"pods"`
	Groups []treeIDs `json:"groups"`
}

type onlyID struct {
	ID string `json:"id"`
}

func (t *treeIDs) shape() error {
	if t.ID != "/" || t.Apps == nil || t.Groups == nil {
		return fmt.Errorf("it is the group %q, or has no lists of apps and groups: expected the root group", oneLine(t.ID))
	}
	return nil
}

func (t *treeIDs) add(ids map[string]bool) {
	for _, a := range t.Apps {
		ids[a.ID] = true
	}
	for _, p := range t.Pods {
		ids[p.ID] = true
	}
	for i := range t.Groups {
		t.Groups[i].add(ids)
	}
}

// TreeIDs lists every app and pod by the tree of groups, which Marathon makes in
// another way than the lists of Apps and Pods, and answers at another address.
func (c *Client) TreeIDs(ctx context.Context) (map[string]bool, error) {
	var root treeIDs
	if err := c.get(ctx, "/v2/groups?embed=group.groups&embed=group.apps&embed=group.pods", &root); err != nil {
		return nil, err
	}
	ids := map[string]bool{}
	root.add(ids)
	return ids, nil
}

// SecondIDs lists every app and pod by another URL than the one that answered
// last; false where there is but one. A Marathon that is not the leader passes the
// question on to the leader, so that this is a second opinion of what is between
// the two, and of a leader only if that has changed.
func (c *Client) SecondIDs(ctx context.Context) (ids map[string]bool, asked bool, err error) {
	if len(c.bases) < 2 {
		return nil, false, nil
	}
	other := &Client{options: c.options, http: c.http, pulses: c.pulses}
	for i := 1; i < len(c.bases); i++ {
		other.bases = append(other.bases, c.bases[(int(c.current.Load())+i)%len(c.bases)])
	}
	apps, err := other.Apps(ctx)
	if err != nil {
		return nil, true, err
	}
	pods, err := other.Pods(ctx)
	if err != nil {
		return nil, true, err
	}
	ids = map[string]bool{}
	for id := range apps {
		ids[id] = true
	}
	for id := range pods {
		ids[id] = true
	}
	return ids, true, nil
}

func ExceptMissing(err error) error {
	if KindOf(err) == KindNotFound {
		return nil
	}
	return err
}

package apply

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// A POST creates and never replaces; an array replaces whatever is there. So what
// goes in arrays must be proved absent first, and not by the list alone that the
// plan was made of: one that lacks half of the apps made Pacer replace the rest.
//
//	new apps in arrays   proved absent by
//	at most sampleSize   the list, the tree of groups, and a read of each
//	more                 the list, the tree of groups, and a read of sampleSize of them
//
// Marathon makes the list and the tree in different ways, and a proxy in front of
// it answers them by different addresses. Where one of the three shows an app that
// the list lacks, nothing goes in arrays by that list.

// sampleSize is how many new apps are read alone.
const sampleSize = 20

// absent leaves out of what is to go in arrays what is there already: it would be
// replaced, whoever made it. Of a list that is not whole it sends nothing.
func (r *run) absent(items []*item) []*item {
	listed, shown, err := r.listings()
	if err == nil {
		items = slices.DeleteFunc(items, func(it *item) bool {
			_, exists := listed[it.id()]
			if exists {
				r.exists(it)
			}
			return exists
		})
		err = r.lacking(items, shown)
	}
	if err == nil {
		return items
	}
	for _, it := range items {
		it.err = err
		r.tell(it, "waits: "+advice(err))
		r.again(it)
	}
	return nil
}

// exists has an item judged as one that Marathon has refused to create.
func (r *run) exists(it *item) {
	it.phase, it.uncertain, it.outcome.Began = begun, true, time.Now()
	it.err = &marathon.Error{Status: http.StatusConflict, Sent: true, Message: "it exists already"}
}

// listings reads the list of apps and the tree of groups, side by side.
func (r *run) listings() (listed map[string]marathon.App, shown map[string]bool, err error) {
	g, ctx := errgroup.WithContext(r.ctx)
	g.Go(func() (err error) { listed, err = r.m.Apps(ctx); return err })
	g.Go(func() (err error) { shown, err = r.m.TreeIDs(ctx); return err })
	return listed, shown, g.Wait()
}

// lacking is an error where Marathon has one of the items, which its list lacks.
func (r *run) lacking(items []*item, shown map[string]bool) error {
	var unseen []marathon.Ref
	var found []string
	for _, it := range items {
		if shown[it.id()] {
			found = append(found, it.id())
		} else {
			unseen = append(unseen, marathon.Ref{ID: it.id(), Kind: manifests.KindApp})
		}
	}
	if len(found) == 0 {
		var err error
		if found, err = marathon.Present(r.ctx, r.m, unseen, sampleSize); err != nil {
			return err
		}
	}
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("Marathon's list of apps lacks %s, which Marathon has: nothing is created based on that list", strings.Join(found[:min(len(found), 3)], ", "))
}

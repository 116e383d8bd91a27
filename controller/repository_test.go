package controller

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/schedule"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/sources"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// opened counts what is opened of a source's snapshots.
type opened struct {
	sources.Source
	mu    sync.Mutex
	names []string
	last  map[*sources.Snapshot]*sources.Snapshot
}

func (o *opened) Snapshot(ctx context.Context) (*sources.Snapshot, error) {
	s, err := o.Source.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last[s] == nil {
		o.last = map[*sources.Snapshot]*sources.Snapshot{s: {Revision: s.Revision, FS: countedFS{s.FS.(fs.ReadDirFS), o}}}
	}
	return o.last[s], nil
}

func (o *opened) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := o.names
	o.names = nil
	slices.Sort(names)
	return names
}

type countedFS struct {
	fs.ReadDirFS
	o *opened
}

func (c countedFS) Open(name string) (fs.File, error) {
	c.o.mu.Lock()
	c.o.names = append(c.o.names, name)
	c.o.mu.Unlock()
	return c.ReadDirFS.Open(name)
}

// Twenty syncs of one repository: a webhook makes one look at the remote and, as
// it has moved, one fetch; of what was fetched only the file that changed is read.
func TestManySyncsOfOneRepositoryLookOnce(t *testing.T) {
	const syncs = 20
	repo := gittest.New(t)
	tree := map[string]string{}
	for i := range syncs {
		for j := range 5 {
			tree[fmt.Sprintf("s%d/app%d.json", i, j)] = manifest(fmt.Sprintf("/s%d/app%d", i, j), "v1")
		}
	}
	repo.Commit("begin", tree)
	server := repo.Serve(t, gittest.HTTP{})
	git, err := sources.NewGit(sources.GitOptions{URL: server.Repo, Branch: "main", AllowHTTP: true, Dir: filepath.Join(t.TempDir(), "clone"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	source := &opened{Source: git}
	w := newWorld()
	o := Options{
		Sources:  map[string]schedule.Source{"repo": {Source: source, Interval: time.Hour}},
		Clusters: oneCluster(w, w), Store: &shelf{saved: map[string][]byte{}}, Resync: time.Hour,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for i := range syncs {
		name := fmt.Sprintf("s%d", i)
		o.Syncs = append(o.Syncs, reconcile.Sync{Name: name, Source: "repo", Path: name, Policy: plan.Policy{Scope: "/" + name}})
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	at := func(revision string) {
		t.Helper()
		eventually(t, "every sync at "+revision, func() (bool, string) {
			for _, y := range c.Status().Syncs {
				if y.Last == nil || y.Running || y.PlannedRevision != revision {
					return false, fmt.Sprintf("%s is at %s", y.Name, y.PlannedRevision)
				}
			}
			return true, ""
		})
	}
	at(repo.Head())
	source.take()
	server.Requests()

	repo.Commit("one", map[string]string{"s7/app3.json": manifest("/s7/app3", "v2")})
	for range 5 { // forges repeat themselves
		if err := c.Look("repo", store.Asked{By: store.AskedByWebhook}); err != nil {
			t.Fatal(err)
		}
	}
	at(repo.Head())
	if !strings.Contains(w.cmds(), "/s7/app3=v2") {
		t.Errorf("running: %s", w.cmds())
	}
	looks, fetches, asked := 0, 0, server.Requests()
	for _, r := range asked {
		switch {
		case strings.Contains(r, "info/refs"):
			looks++
		case strings.Contains(r, "git-upload-pack"):
			fetches++
		}
	}
	if looks < 1 || looks > 2 || fetches != 1 { // a second look for the pokes that came during the first
		t.Errorf("%d looks and %d fetches for %d syncs: %q", looks, fetches, syncs, asked)
	}
	if got := source.take(); !slices.Equal(got, []string{"s7/app3.json"}) {
		t.Errorf("opened %q, want the changed file alone", got)
	}
	if err := c.Look("nothing", store.Asked{By: store.AskedByWebhook}); err == nil {
		t.Error("a source that is not there was looked at")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := git.Close(); err != nil {
		t.Error(err)
	}
}

package main

import (
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/manifests"
)

func TestStoreShowsNoDefinitions(t *testing.T) {
	f, err := store.OpenFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	app := &manifests.App{ID: "/shop/web", Env: map[string]manifests.EnvValue{}}
	cmd := "echo hunter2"
	app.Cmd = &cmd
	s := store.State{Inventory: map[string]store.Owned{}, Healthy: map[string]plan.Healthy{"/shop/web": {App: app, Hash: "h1"}}}
	if err := f.Save(t.Context(), "shop", s); err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"text", "json"} {
		var b strings.Builder
		if err := showRecords(t.Context(), &b, f, nil, output); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "hunter2") || !strings.Contains(b.String(), "shop") {
			t.Errorf("%s: %s", output, b.String())
		}
	}
	if kept, err := f.Load(t.Context(), "shop"); err != nil || kept.Healthy["/shop/web"].App == nil {
		t.Errorf("showing changed what is kept: %+v, %v", kept, err)
	}
}

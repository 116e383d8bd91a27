package controller

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/apply"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// What a one-shot apply does while it waits: with Marathon's events it sees within a
// moment what came up, and asks for little; without, it looks at most 2 s apart. Here
// reading all apps of a Marathon takes 2 s.
func TestAnApplyWaitsByEventsOrLooksNowAndThen(t *testing.T) {
	const (
		layers, each = 4, 25 // apps that depend on those of the layer before
		read         = 2 * time.Second
	)
	type count struct{ streams, lists, singles int }
	counts := map[string]count{}
	for _, name := range []string{"events", "none"} {
		synctest.Test(t, func(t *testing.T) {
			site, err := newSite()
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var asked count
			l := newLine(site)
			l.doubted, l.died = func(*http.Request, []byte) {}, func() {}
			l.written = func(*http.Request, []byte) func(int) { return func(int) {} }
			l.spoil = func(r *http.Request) flaw {
				mu.Lock()
				defer mu.Unlock()
				switch path := strings.TrimRight(r.URL.Path, "/"); {
				case r.Method != http.MethodGet:
				case path == "/v2/apps":
					asked.lists++
					mu.Unlock()
					time.Sleep(read)
					mu.Lock()
				case strings.HasPrefix(path, "/v2/apps/"):
					asked.singles++
				}
				return sound
			}
			client, wires, err := l.client()
			if err != nil {
				t.Fatal(err)
			}
			p := plan.Plan{}
			for i := range layers * each {
				id := fmt.Sprintf("/shop/a%03d", i)
				site.ask("PUT", "/v2/apps/"+id, `{"cmd": "run", "cpus": 0.01, "mem": 8}`)
				a := &manifests.App{ID: id, Cmd: new("run 2"), CPUs: new(0.01), Mem: new(8.0), Instances: new(1)}
				for j := range each {
					if layer := i / each; layer > 0 {
						a.Dependencies = append(a.Dependencies, fmt.Sprintf("/shop/a%03d", (layer-1)*each+j))
					}
				}
				p.Changes = append(p.Changes, plan.Change{ID: id, Kind: manifests.KindApp, Action: plan.Update, App: a, Hash: "h"})
			}
			time.Sleep(10 * time.Second)
			ear := marathon.NewEar(client)
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			if name == "events" {
				asked.streams++
				group.Go(func() { ear.Listen(ctx) })
			}
			synctest.Wait()
			began, seen := time.Now(), time.Duration(0)
			request := apply.Request{Cluster: manifests.DefaultCluster(), Events: ear.News(), Hears: ear.Hears, Apps: 5000, Progress: func(o apply.Outcome) {
				if o.Result == apply.Applied && seen == 0 {
					seen = time.Since(began)
				}
			}}
			for _, o := range apply.New(client, apply.Options{MaxInFlight: 50}).Apply(ctx, p, request) {
				if o.Result != apply.Applied {
					t.Errorf("%s: %+v", name, o)
				}
			}
			took := time.Since(began)
			// For each layer: 1 s for the new tasks to start and 1 s for the old ones to end, 5 s to settle.
			const least = layers * 7 * time.Second
			if most := least + layers*(2*read+2*time.Second); took < least || took > most {
				t.Errorf("%s: took %s, expected from %s to %s", name, took, least, most)
			}
			mu.Lock()
			counts[name] = asked
			mu.Unlock()
			cancel()
			group.Wait()
			l.cut()
			client.Close()
			wires.CloseIdleConnections()
			l.calls.Wait()
			if err := site.Close(); err != nil {
				t.Error(err)
			}
			t.Logf("%s: took %s, the first after %s, asked %+v", name, took, seen, asked)
		})
	}
	// Each change that waited for others is read alone before it is written, and some of
	// those that hang are, to be explained.
	for name, n := range counts {
		if n.lists > 5*layers || n.singles > 2*layers*each {
			t.Errorf("%s: asked for %+v", name, n)
		}
	}
}

package marathon_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/pacer-gitops/pacer/controller/local/localtest"
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/marathon/cache"
)

// filled is a Marathon that holds n apps of two tasks each, and a client of it.
func filled(tb testing.TB, n int, o localtest.Options) (*localtest.Server, *marathon.Client) {
	tb.Helper()
	s := localtest.New(tb, o)
	c, err := marathon.New(marathon.Options{URLs: []string{s.URL}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	s.Fill(tb, n, 2)
	return s, c
}

// BenchmarkLists shows what the ways to read everything cost: the tree of
// groups with all that is in it, which is one root, and the list of apps. Pods
// and groups alone are two small requests more.
func BenchmarkLists(b *testing.B) {
	s, _ := filled(b, 10_000, localtest.Options{})
	const of = "group.apps."
	for name, path := range map[string]string{
		"apps":     "/v2/apps?embed=apps.counts&embed=apps.deployments&embed=apps.lastTaskFailure&embed=apps.taskStats",
		"groups":   "/v2/groups?embed=group.groups&embed=group.apps&embed=group.pods&embed=" + of + "counts&embed=" + of + "deployments&embed=" + of + "lastTaskFailure&embed=" + of + "taskStats",
		"skeleton": "/v2/groups?embed=group.groups",
		"single":   "/v2/apps/g00/app00000",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var n int64
			for b.Loop() {
				resp, err := http.Get(s.URL + path)
				if err != nil {
					b.Fatal(err)
				}
				n, err = io.Copy(io.Discard, resp.Body)
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatal(resp.Status, err)
				}
				resp.Body.Close()
			}
			b.ReportMetric(float64(n), "B/answer")
		})
	}
}

// BenchmarkCache shows what a Cache of ten thousand apps costs: memory for each,
// the list at its beginning, a resync that finds nothing, and a look.
func BenchmarkCache(b *testing.B) {
	_, c := filled(b, 10_000, localtest.Options{})
	before := heap()
	cache := cache.New(c, cache.Options{})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- cache.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	if _, err := cache.State(ctx); err != nil {
		b.Fatal(err)
	}
	perApp := float64(heap()-before) / 10_000
	b.Run("look", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := cache.State(ctx); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(perApp, "B/app")
	})
	b.Run("uncached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.State(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package controller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pacer-gitops/pacer/controller/marathon"
)

func TestRequestsAreMeasured(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	registry := prometheus.NewRegistry()
	m, err := NewRequests(registry)
	if err != nil {
		t.Fatal(err)
	}
	client, err := marathon.New(marathon.Options{URLs: []string{server.URL}, Wrap: m.Wrap})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.App(t.Context(), "/a"); err == nil {
		t.Error("an app of a server that has none")
	}
	server.Close()
	if _, err := client.App(t.Context(), "/a"); err == nil || errors.Is(err, http.ErrServerClosed) {
		t.Errorf("an app of a server that is gone: %v", err)
	}
	for code, want := range map[string]float64{"404": 1, "error": 1} {
		if got := testutil.ToFloat64(m.total.WithLabelValues("GET", code)); got != want {
			t.Errorf("%v requests with code %s, want %v", got, code, want)
		}
	}
	if n := testutil.CollectAndCount(m.seconds); n != 1 {
		t.Errorf("%d histograms, want one for GET", n)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	if _, err := NewRequests(registry); err == nil {
		t.Error("registered twice without an error")
	}
}

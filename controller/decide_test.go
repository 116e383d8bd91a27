package controller

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller/leader"
)

// recorder takes what is registered.
type recorder struct {
	prometheus.Registerer
	all []prometheus.Collector
}

func (r *recorder) Register(c prometheus.Collector) error {
	r.all = append(r.all, c)
	return nil
}

type nobody struct{ leader.Ensemble }

// TestDocumentedMetrics holds docs/metrics.md to what is registered, both ways.
func TestDocumentedMetrics(t *testing.T) {
	m, err := newMetrics(nil, func() []*syncer { return nil })
	if err != nil {
		t.Fatal(err)
	}
	described := regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]+)", unit: "", constLabels: \{\}, variableLabels: \{(.*)\}\}`)
	measured := map[string]string{}
	requests, err := NewRequests(nil)
	if err != nil {
		t.Fatal(err)
	}
	election := &recorder{}
	if _, err := leader.New(leader.Options{Ensemble: nobody{}, Timeout: time.Second, Metrics: election}); err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(m.all(), requests.all(), election.all) {
		descriptions := make(chan *prometheus.Desc, 1)
		c.Describe(descriptions)
		found := described.FindStringSubmatch((<-descriptions).String())
		if found == nil {
			t.Fatal("a metric cannot be described")
		}
		labels := "none"
		if found[3] != "" {
			labels = "`" + strings.ReplaceAll(found[3], ",", "`, `") + "`"
		}
		measured[found[1]] = labels + " " + found[2]
	}
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(pacer_[a-z_]+)` \\| [a-z]+ \\| (.+) \\| (.+) \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented[row[1]] = row[2] + " " + row[3]
	}
	if diff := cmp.Diff(measured, documented); diff != "" {
		t.Errorf("docs/metrics.md differs from the code (-measured +documented):\n%s", diff)
	}
}

package controller

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// series is one series of what is measured.
type series struct {
	name   string
	labels map[string]string
	value  float64
}

// gathered is all that is measured now, but for histograms.
func gathered(t *testing.T, r prometheus.Registerer) []series {
	t.Helper()
	families, err := r.(prometheus.Gatherer).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []series
	for _, family := range families {
		for _, metric := range family.Metric {
			s := series{name: family.GetName(), labels: map[string]string{}}
			for _, l := range metric.Label {
				s.labels[l.GetName()] = l.GetValue()
			}
			switch {
			case metric.Gauge != nil:
				s.value = metric.GetGauge().GetValue()
			case metric.Counter != nil:
				s.value = metric.GetCounter().GetValue()
			default:
				continue
			}
			all = append(all, s)
		}
	}
	return all
}

// gaugeOf is the value of the one series with a name and labels: name, value, name,
// value …
func gaugeOf(t *testing.T, r prometheus.Registerer, name string, labels ...string) float64 {
	t.Helper()
	var found []series
	for _, s := range gathered(t, r) {
		matches := s.name == name
		for i := 0; i < len(labels); i += 2 {
			matches = matches && s.labels[labels[i]] == labels[i+1]
		}
		if matches {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d series %s %v, want one", len(found), name, labels)
	}
	return found[0].value
}

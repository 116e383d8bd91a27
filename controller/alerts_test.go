package controller

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/yaml"
)

// alert is a rule of deploy/alerts.yaml.
type alert struct {
	Alert string `json:"alert"`
	Expr  string `json:"expr"`
	For   string `json:"for"`
}

// lasts is for how long its expression must be true.
func (a *alert) lasts(t *testing.T) time.Duration {
	t.Helper()
	text := a.For
	if days, is := strings.CutSuffix(text, "d"); is {
		n, err := strconv.Atoi(days)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * 24 * time.Hour
	}
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// expression is what of PromQL the alerts use: a selector, its sum by labels or
// time() less it, compared with a number.
var expression = regexp.MustCompile(`^(time\(\) - )?(?:sum (?:by \((?P<by>[^)]*)\) )?\((?P<summed>[^)]*)\)|\((?P<above>[^)]*) > 0\)|(?P<plain>[^ ]*)) (>|==|!=) (\d+)$`)

// selector is a name and matchers of labels.
var selector = regexp.MustCompile(`^(\w+)(?:\{(\w+)=~"([^"]*)"\})?$`)

func readAlerts(t *testing.T) []*alert {
	t.Helper()
	text, err := os.ReadFile("../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []*alert `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var all []*alert
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// parse returns the parts of an expression, by their names, and of its selector: all
// of it, its name, and the label and values that it matches.
func (a *alert) parse(t *testing.T) (part func(name string) string, parts, which []string) {
	t.Helper()
	if parts = expression.FindStringSubmatch(a.Expr); parts == nil {
		t.Fatalf("%s: the test does not know %q", a.Alert, a.Expr)
	}
	part = func(name string) string { return parts[expression.SubexpIndex(name)] }
	if which = selector.FindStringSubmatch(part("summed") + part("above") + part("plain")); which == nil {
		t.Fatalf("%s: the test does not know the selector in %q", a.Alert, a.Expr)
	}
	return part, parts, which
}

// holds lists for which labels an expression is true of what is measured.
func (a *alert) holds(t *testing.T, all []series, now time.Time) map[string]bool {
	t.Helper()
	part, parts, which := a.parse(t)
	matches := regexp.MustCompile("^(?:" + which[3] + ")$")
	sums := map[string]float64{}
	for _, s := range all {
		if s.name != which[1] || which[2] != "" && !matches.MatchString(s.labels[which[2]]) || part("above") != "" && s.value <= 0 {
			continue
		}
		labels := slices.Sorted(maps.Keys(s.labels))
		if part("summed") != "" {
			labels = strings.FieldsFunc(part("by"), func(r rune) bool { return r == ',' || r == ' ' })
		}
		key := ""
		for _, l := range labels {
			key += fmt.Sprintf("%s=%s ", l, s.labels[l])
		}
		value := s.value
		if parts[1] != "" {
			value = float64(now.UnixMilli())/1000 - value
		}
		sums[strings.TrimSpace(key)] += value
	}
	limit, err := strconv.ParseFloat(parts[len(parts)-1], 64)
	if err != nil {
		t.Fatal(err)
	}
	compare := map[string]func(float64) bool{
		">": func(v float64) bool { return v > limit }, "==": func(v float64) bool { return v == limit }, "!=": func(v float64) bool { return v != limit },
	}[parts[len(parts)-2]]
	maps.DeleteFunc(sums, func(_ string, v float64) bool { return !compare(v) })
	holds := map[string]bool{}
	for key := range sums {
		holds[key] = true
	}
	return holds
}

// prometheusOf evaluates alerts every 15 s, as a Prometheus would.
type prometheusOf struct {
	t      *testing.T
	alerts []*alert
	active map[string]time.Time // alert and labels → since when its expression is true
	fired  map[string]bool
}

func (p *prometheusOf) scrape(r prometheus.Registerer) {
	all := gathered(p.t, r)
	now := time.Now()
	for _, a := range p.alerts {
		holds := a.holds(p.t, all, now)
		maps.DeleteFunc(p.active, func(key string, _ time.Time) bool {
			labels, of := strings.CutPrefix(key, a.Alert+" ")
			return of && !holds[labels]
		})
		for labels := range holds {
			key := a.Alert + " " + labels
			if _, is := p.active[key]; !is {
				p.active[key] = now
			}
			if now.Sub(p.active[key]) >= a.lasts(p.t) {
				p.fired[key] = true
			}
		}
	}
}

// TestAlertsFireOnWhatTheySay plays what each alert is for on the local Marathon. No
// other one fires.
func TestAlertsFireOnWhatTheySay(t *testing.T) {
	alerts := readAlerts(t)
	two := map[string]wish{"/a": {Cmd: cmdRuns, Instances: 1}, "/b": {Cmd: cmdRuns, Instances: 2}}
	for name, test := range map[string]struct {
		play  func(s *storm)
		lasts time.Duration
		want  []string
	}{
		"nothing: commits, rollouts, drift that is healed": {func(s *storm) {
			git := maps.Clone(two)
			go func() {
				for i := range 20 {
					git["/a"] = wish{Cmd: cmdSlow, Instances: 1 + i%3, Salt: i}
					s.repo.push(tree(git))
					time.Sleep(40 * time.Second)
					if i%5 == 0 { // more would be a conflict
						s.hand("PUT", "/v2/apps/b", `{"instances":1}`)
					}
					time.Sleep(20 * time.Second)
				}
			}()
		}, 25 * time.Minute, nil},
		"a crash loop": {func(s *storm) {
			stop := s.kills("/a")
			time.AfterFunc(15*time.Minute, stop)
		}, 20 * time.Minute, []string{"PacerAppNotHealthy sync=all"}},
		"a Marathon that cannot be reached": {func(s *storm) { s.life.line.setDown(true) }, 20 * time.Minute, []string{"PacerMarathonUnreachable sync=all", "PacerSyncNotReconciled sync=all"}},
		"a start without Marathon": {func(s *storm) {
			s.end()
			s.begin()
			s.life.line.setDown(true)
		}, 20 * time.Minute, []string{"PacerSyncNotReconciled sync=all"}},
		"a revision that fails": {func(s *storm) {
			git := maps.Clone(two)
			git["/a"] = wish{Cmd: cmdFails + " 1", Instances: 1}
			s.repo.push(tree(git))
		}, 15 * time.Minute, []string{"PacerAppNotHealthy sync=all", "PacerChangeNotApplied sync=all condition=failed"}},
		"a manifest with errors": {func(s *storm) {
			files := tree(two)
			files["a.json"] = `{"id": "/a", "cmd": 7}`
			s.repo.push(files)
		}, 15 * time.Minute, []string{"PacerChangeNotApplied sync=all condition=broken manifest"}},
		"a change that waits": {func(s *storm) {
			s.adjust = func(y *reconcile.Sync) { y.Deadline = time.Hour }
			s.again()
			s.hand("POST", "/local/failures/lock", `{"id":"/a"}`)
			git := maps.Clone(two)
			git["/a"] = wish{Cmd: cmdRuns, Instances: 2}
			after(20 * time.Second)
			s.repo.push(tree(git))
		}, 15 * time.Minute, []string{"PacerChangeWaits sync=all"}},
		"suspended for days": {func(s *storm) {
			if err := s.life.Suspend(s.t.Context(), "all", ada); err != nil {
				s.t.Error(err)
			}
		}, 15 * time.Minute, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStorm(t)
				s.repo.push(tree(two))
				after(time.Minute)
				p := &prometheusOf{t: t, alerts: alerts, active: map[string]time.Time{}, fired: map[string]bool{}}
				test.play(s)
				for began := time.Now(); time.Since(began) < test.lasts; after(15 * time.Second) {
					p.scrape(s.life.registry)
				}
				if diff := cmp.Diff(test.want, slices.Sorted(maps.Keys(p.fired))); diff != "" {
					t.Errorf("alerts (-want +fired):\n%s", diff)
				}
				if name == "suspended for days" && p.active["PacerSyncSuspended sync=all"].IsZero() {
					t.Error("it does not count the days")
				}
				s.life.line.setDown(false)
				s.site.ask("DELETE", "/local/failures/lock", "")
				after(time.Minute)
				s.close()
			})
		})
	}
}

// Every alert is of something that is measured, with labels and values that there are.
func TestAlertsAreOfWhatIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, files("/shop/a", "v1"))
		g.start()
		defer g.stop()
		after(time.Minute)
		all := gathered(t, g.options.Metrics)
		for _, a := range readAlerts(t) {
			_, _, which := a.parse(t)
			if which[1] == "pacer_leader" {
				continue // of the election
			}
			for _, value := range strings.Split(which[3], "|") {
				if !slices.ContainsFunc(all, func(s series) bool { return s.name == which[1] && (which[2] == "" || s.labels[which[2]] == value) }) {
					t.Errorf("%s: nothing is measured as %s with %s=%q", a.Alert, which[1], which[2], value)
				}
			}
		}
	})
}

// The table of docs/metrics.md is that of the file.
func TestDocumentedAlerts(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented, there []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(Pacer\\w+)` \\| `(.*)` \\| (\\w*) ?\\| .+ \\|$").FindAllStringSubmatch(string(doc), -1) {
		documented = append(documented, fmt.Sprintf("%s: %s for %s", row[1], strings.ReplaceAll(row[2], `\|`, "|"), row[3]))
	}
	for _, a := range readAlerts(t) {
		there = append(there, fmt.Sprintf("%s: %s for %s", a.Alert, a.Expr, a.For))
	}
	if diff := cmp.Diff(there, documented); diff != "" {
		t.Errorf("docs/metrics.md differs from deploy/alerts.yaml (-file +documented):\n%s", diff)
	}
}

package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/pacer-gitops/pacer/manifests"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sampleInput has one of everything that can be printed.
func sampleInput(t testing.TB) Input {
	in := world{
		git: map[string]string{
			"/shop/cart": simple("/shop/cart", `, "instances": 5`),
			"/shop/new":  simple("/shop/new", `, "env": {"DB_PASSWORD": "canary", "MODE": "fast|<b>"}, "dependencies": ["/shop/cart"], "healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 0}]`),
			"/shop/same": simple("/shop/same", ""),
			"/shop/web":  simple("/shop/web", `, "labels": {"owner": "team\u001b[31m", "API_TOKEN": "canary2"}, "env": {"A": "1"}`),
			"/shop/els":  simple("/shop/els", `, "instances": 2`),
		},
		live: map[string]string{
			"/shop/cart": simple("/shop/cart", `, "instances": 2`),
			"/shop/same": simple("/shop/same", ""),
			"/shop/web":  simple("/shop/web", `, "labels": {"owner": "me", "API_TOKEN": "canary1"}, "user": "root"`),
			"/shop/els":  simple("/shop/els", ""),
			"/shop/old":  simple("/shop/old", ""),
		},
		owned: []string{"/shop/cart", "/shop/web", "/shop/same", "/shop/old"}, policy: Policy{Prune: PruneOn, Scope: "/"},
	}.input(t)
	in.Live.Pods["/shop/pod"] = pod(t, onePod)
	in.Inventory["/shop/pod"] = Owned{Kind: manifests.KindPod, File: "pod.json"}
	in.Desired.Problems = []manifests.Problem{
		{File: "apps/bad.json", Line: 3, Column: 7, ID: "/shop/bad", Severity: manifests.SeverityError, Message: "a key \"inst\x1bances\" | `x` <script>: did you mean instances?"},
		{File: "apps/w.yaml", Line: 1, Column: 1, Severity: manifests.SeverityWarning, Message: "@team, [look](http://x)"},
	}
	return in
}

func sampleOutcomes() []Outcome {
	return []Outcome{
		{ID: "/shop/cart", Kind: manifests.KindApp, Result: "applied", Seconds: 3.21},
		{ID: "/shop/web", Kind: manifests.KindApp, Result: "failed", Reason: "exit code 127: sh: demoap: not found", Seconds: 600},
		{ID: "/shop/before", Kind: manifests.KindApp, Result: "applied", Seconds: 1},
	}
}

func TestGoldenPrints(t *testing.T) {
	in := sampleInput(t)
	in.Marathon = "http://m1:8080, http://m2:8080"
	p := Compute(in)
	empty := Plan{Revision: "3f9c2a71d0e84b6c5a1f7e2d9b8c4a6f0e1d2c3b", Sync: "shop", Marathon: "http://m1:8080", Summary: Summary{None: 4}}
	cases := map[string]struct {
		plan    Plan
		printer Printer
		format  string
	}{
		"plan.txt":          {p, Printer{}, "text"},
		"plan.coloured.txt": {p, Printer{Colour: true}, "text"},
		"plan.json":         {p, Printer{}, "json"},
		"plan.yaml":         {p, Printer{}, "yaml"},
		"plan.md":           {p, Printer{}, "markdown"},
		"applied.txt":       {p, Printer{Outcomes: sampleOutcomes()}, "text"},
		"applied.json":      {p, Printer{Outcomes: sampleOutcomes()}, "json"},
		"applied.md":        {p, Printer{Outcomes: sampleOutcomes()}, "markdown"},
		"empty.txt":         {empty, Printer{}, "text"},
		"empty.json":        {empty, Printer{}, "json"},
		"empty.md":          {empty, Printer{}, "markdown"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := c.printer.Write(&b, c.plan, c.format); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s is not current; go test -update rewrites it (-file +printed):\n%s", golden, diff)
			}
		})
	}
}

func TestNoPrintHoldsASecretOrAControlCharacter(t *testing.T) {
	p := Compute(sampleInput(t))
	for _, format := range Formats() {
		var b bytes.Buffer
		if err := Write(&b, p, format, sampleOutcomes()...); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "canary") {
			t.Errorf("%s: a secret is printed:\n%s", format, &b)
		}
		if strings.ContainsFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) {
			t.Errorf("%s: a control character is printed:\n%q", format, &b)
		}
	}
}

func TestJSONAndYAMLSayTheSame(t *testing.T) {
	var j, y bytes.Buffer
	p := Compute(sampleInput(t))
	if err := Write(&j, p, "json"); err != nil {
		t.Fatal(err)
	}
	if err := Write(&y, p, "yaml"); err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(j.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(y.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownFormatNamesTheKnownOnes(t *testing.T) {
	err := Write(&bytes.Buffer{}, Plan{}, "xml")
	if err == nil || err.Error() != `output format "xml": expected one of text, json, yaml, markdown` {
		t.Errorf("got %v", err)
	}
}

func TestLongValuesAreShownWhereTheyDiffer(t *testing.T) {
	same := strings.Repeat("x", 1000)
	live, desired := values(manifests.FieldDiff{Live: same + "old" + same, Desired: same + "new" + same})
	if !strings.Contains(live, "old") || !strings.Contains(desired, "new") || len(live) > 2*longest {
		t.Errorf("%s → %s", live, desired)
	}
	live, desired = values(manifests.FieldDiff{Desired: same})
	if live != "null" || !strings.HasPrefix(desired, `"xxx`) || !strings.HasSuffix(desired, "(1002 characters)") {
		t.Errorf("%s → %s", live, desired)
	}
}

func TestMarkdownFitsIntoAComment(t *testing.T) {
	var p Plan
	for range 3000 {
		p.Changes = append(p.Changes, Change{ID: "/shop/" + strings.Repeat("<", 40), Kind: manifests.KindApp, Action: Create, Reason: "a new app", Fields: []manifests.FieldDiff{{Path: "/cmd", Desired: strings.Repeat("|", 400)}}})
		p.Problems = append(p.Problems, manifests.Problem{File: strings.Repeat("f", 200), Message: strings.Repeat("@", 200)})
	}
	var b bytes.Buffer
	if err := Write(&b, p, "markdown"); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 60_000 || !strings.Contains(b.String(), "more") {
		t.Errorf("%d bytes", b.Len())
	}
}

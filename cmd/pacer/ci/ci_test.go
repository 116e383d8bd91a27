package ci

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
)

func problem(file string, line int, message string) manifests.Problem {
	return manifests.Problem{File: file, Line: line, Column: 3, ID: "/shop/web", Path: "/cpus", Severity: manifests.SeverityError, Message: message}
}

func written(t *testing.T, format string, all ...Problem) string {
	t.Helper()
	text, err := Format(format, all, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What a repository says stays in its own command, and in its own property.
func TestGitHubCommandsAreEscaped(t *testing.T) {
	got := written(t, GitHub, Problem{problem("a:1,line=9\r\n::error::x.json", 4, "100% of\n::set-output name=x::y"), "apps"})
	want := "::error file=apps/a%3A1%2Cline=9%0D%0A%3A%3Aerror%3A%3Ax.json,line=4,col=3,title=pacer::/shop/web: 100%25 of ::set-output name=x::y\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if n := strings.Count(got, "\n"); n != 1 {
		t.Errorf("%d lines", n)
	}
}

func TestProblemsOfNoFile(t *testing.T) {
	whole := Problem{manifests.Problem{File: ".", Severity: manifests.SeverityWarning, Message: "too many files"}, ""}
	if got, want := written(t, GitHub, whole), "::warning title=pacer::too many files\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := written(t, GitLab, whole); !strings.Contains(got, `"path": "."`) || !strings.Contains(got, `"begin": 1`) {
		t.Error(got)
	}
	if got := written(t, SARIF, whole); strings.Contains(got, "locations") {
		t.Error(got)
	}
}

// By the fingerprint a forge finds out which problems are new: lines that move are none,
// and of two that are alike each counts.
func TestFingerprints(t *testing.T) {
	two := fingerprints(In("", []manifests.Problem{problem("a.json", 4, "x"), problem("a.json", 9, "x"), problem("b.json", 4, "x")}))
	moved := fingerprints(In("", []manifests.Problem{problem("a.json", 14, "x"), problem("a.json", 19, "x"), problem("b.json", 5, "x")}))
	for i := range two {
		if two[i] != moved[i] {
			t.Errorf("problem %d is another one since its line moved", i)
		}
		for j := range i {
			if two[i] == two[j] {
				t.Errorf("problems %d and %d are one", i, j)
			}
		}
	}
}

// The properties that the schema of SARIF 2.1.0 requires, and their kinds.
func TestSARIF(t *testing.T) {
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name, Version string
					Rules         []struct{ ID string }
				}
			}
			Results []struct {
				RuleID, Level string
				Message       struct{ Text string }
				Locations     []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI, URIBaseID string }
						Region           struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	warned := problem("sp ace.yaml", 2, "y")
	warned.Severity = manifests.SeverityWarning
	text := written(t, SARIF, In("a:b", []manifests.Problem{problem("web.json", 4, "x"), warned})...)
	if err := json.Unmarshal([]byte(text), &log); err != nil {
		t.Fatal(err)
	}
	if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "pacer" || log.Runs[0].Tool.Driver.Version != "1.2.3" {
		t.Fatalf("%+v", log)
	}
	run := log.Runs[0]
	rules := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		rules[r.ID] = true
	}
	for i, want := range []struct {
		level, uri string
		line       int
	}{{"error", "./a:b/web.json", 4}, {"warning", "./a:b/sp%20ace.yaml", 2}} {
		r := run.Results[i]
		if r.Level != want.level || !rules[r.RuleID] || r.Message.Text == "" || len(r.Locations) != 1 {
			t.Fatalf("result %+v", r)
		}
		at := r.Locations[0].PhysicalLocation
		if at.ArtifactLocation.URI != want.uri || at.ArtifactLocation.URIBaseID != "%SRCROOT%" || at.Region.StartLine != want.line || at.Region.StartColumn != 3 {
			t.Errorf("location %+v, want %+v", at, want)
		}
	}
	if none := written(t, SARIF); !strings.Contains(none, `"results": []`) {
		t.Errorf("a log without problems: %s", none)
	}
}

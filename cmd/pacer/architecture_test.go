package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/pacer-gitops/pacer/"

// imports is the table of what each package may import of ours. It is the flow
// of docs/architecture.md: imports point down it only, and what only joins
// (controller, cmd) stands at the end.
var imports = map[string][]string{
	"visible":                    {},
	"meter":                      {},
	"internal/wait":              {},
	"clienttls":                  {},
	"secret":                     {},
	"controller/origin":          {},
	"sources/gitpack":            {},
	"sources":                    {"clienttls", "visible", "sources/gitpack", "internal/wait", "secret"},
	"manifests/syntax":           {},
	"manifests":                  {"visible", "manifests/syntax"},
	"controller/plan":            {"manifests", "visible"},
	"controller/reset":           {},
	"controller/marathon":        {"clienttls", "manifests", "visible", "meter", "controller/reset", "internal/wait", "secret"},
	"controller/marathon/cache":  {"manifests", "controller/marathon", "internal/wait"},
	"controller/apply":           {"manifests", "controller/plan", "controller/marathon", "visible", "internal/wait"},
	"controller/leader":          {"controller/zookeeper", "internal/wait"},
	"controller/zookeeper":       {"clienttls", "internal/wait", "secret"},
	"controller/store":           {"manifests", "controller/plan", "controller/zookeeper", "meter", "internal/wait"},
	"controller/config":          {"clienttls", "controller/forge", "manifests", "manifests/syntax", "sources", "controller/plan", "controller/zookeeper", "controller/origin", "secret"},
	"controller/local/executor":  {},
	"controller/local/state":     {"manifests", "controller/local/executor"},
	"controller/local/scheduler": {"manifests", "controller/local/executor", "controller/local/state", "internal/wait"},
	"controller/local/api":       {"manifests", "controller/local/executor", "controller/local/state", "controller/local/scheduler"},
	"controller/local":           {"manifests", "controller/local/executor", "controller/local/state", "controller/local/scheduler", "controller/local/api"},
	"controller/status":          {"sources", "manifests", "controller/plan", "controller/apply", "controller/marathon", "controller/store", "controller/leader"},
	"controller/reconcile":       {"meter", "sources", "manifests", "controller/plan", "controller/apply", "controller/marathon", "controller/store", "controller/status", "internal/wait"},
	"controller/schedule":        {"sources", "controller/marathon", "controller/store", "controller/reconcile", "internal/wait"},
	"controller":                 {"sources", "manifests", "controller/plan", "controller/apply", "controller/marathon", "controller/store", "controller/leader", "controller/status", "controller/reconcile", "controller/schedule", "internal/wait"},
	"controller/oneshot":         {"sources", "manifests", "controller/reconcile", "controller/plan", "controller/apply", "controller/marathon"},
	"controller/forge":           {"clienttls", "visible", "meter", "sources", "secret"},
	"controller/report":          {"sources", "manifests", "controller", "controller/forge", "controller/report/comment", "controller/plan", "controller/apply", "controller/reconcile", "controller/status", "controller/store", "internal/wait"},
	"controller/report/comment":  {"visible", "manifests", "controller/plan"},
	"controller/web":             {"visible", "manifests", "controller", "controller/report", "controller/status", "controller/plan", "controller/store", "controller/leader", "controller/reset", "controller/origin", "secret"},
	"controller/web/client":      {"visible", "controller", "controller/plan", "controller/status", "controller/reset"},
	"internal/lifecycle":         {},
	"cmd/pacer/ci":               {"visible", "manifests"},
	"cmd/pacer/demo":             {"visible", "manifests", "controller/plan", "controller/local/executor", "controller/status", "internal/lifecycle"},
	// What the tests of several packages share.
	"clienttls/tlstest":                    {},
	"sources/gittest":                      {"internal/testenv"},
	"controller/forge/forgetest":           {"sources/gittest"},
	"controller/forge/giteatest":           {"controller/forge/forgetest", "sources/gittest", "internal/testenv"},
	"controller/zookeeper/zktest":          {"internal/testenv"},
	"controller/marathon/pathtest":         {"internal/testenv"},
	"controller/local/executor/enginetest": {"internal/testenv"},
	"controller/web/browsertest":           {"internal/testenv"},
	"internal/testenv":                     {},
	"controller/local/localtest":           {"manifests", "controller/local", "controller/local/executor"},
}

// pure are the packages that take values and return values.
var pure = []string{"manifests", "manifests/syntax", "controller/plan", "controller/report/comment", "visible", "controller/local/state"}

// banned says what pure packages may not import, and why.
var banned = map[string]string{
	"os":           "no disk, no environment",
	"net":          "no network",
	"net/http":     "no network",
	"log":          "no log: problems are returned",
	"log/slog":     "no log: problems are returned",
	"time":         "no clock: time comes in as an argument",
	"sync":         "no goroutine, hence nothing to lock",
	"context":      "nothing to wait for",
	"math/rand":    "the same bytes every time",
	"math/rand/v2": "the same bytes every time",
	"os/exec":      "nothing of a repository reaches a shell",
}

type listed struct {
	ImportPath string
	Doc        string
	Imports    []string
}

func listPackages(t *testing.T) map[string]listed {
	t.Helper()
	found, err := allPackages()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return found
}

var allPackages = sync.OnceValues(func() (map[string]listed, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", module+"...").Output()
	if err != nil {
		return nil, err
	}
	found := map[string]listed{}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p listed
		if err := dec.Decode(&p); err != nil {
			return nil, err
		}
		found[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	return found, nil
})

func TestImportsPointDownTheFlow(t *testing.T) {
	for name, p := range listPackages(t) {
		if name == "cmd/pacer" {
			continue // it wires: it may import everything
		}
		allowed, known := imports[name]
		if !known {
			t.Errorf("%s is not in the table of imports: add it there and to docs/architecture.md", name)
		}
		for _, i := range p.Imports {
			own, isOwn := strings.CutPrefix(i, module)
			if isOwn && !slices.Contains(allowed, own) {
				t.Errorf("%s imports %s, which the flow does not allow", name, own)
			}
		}
	}
}

func TestPureCoreTakesValuesAndReturnsValues(t *testing.T) {
	packages := listPackages(t)
	for _, name := range pure {
		for _, i := range packages[name].Imports {
			if why, bad := banned[i]; bad && !(i == "time" && slices.Contains(moments, name)) {
				t.Errorf("%s imports %s: %s", name, i, why)
			}
		}
	}
}

// moments are the pure packages whose values are moments: they take them as
// arguments, and do not read the clock.
var moments = []string{"controller/local/state"}

func TestPureCoreDoesNotReadTheClock(t *testing.T) {
	clock := regexp.MustCompile(`\btime\.(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker)\b`)
	for _, name := range moments {
		files, err := filepath.Glob("../../" + name + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files: %v", name, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if found := clock.Find(text); found != nil {
				t.Errorf("%s has %s: time comes in as an argument", file, found)
			}
		}
	}
}

func TestEveryPackageHasADoc(t *testing.T) {
	for name, p := range listPackages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment: say what lives there and what does not", name)
		}
	}
}

func TestArchitecturePageHasEveryPackage(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range listPackages(t) {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/architecture.md has no row for %s", name)
		}
	}
}

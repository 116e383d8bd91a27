package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestContributingNamesWhatThereIs: every path, test, flag and identifier that
// CONTRIBUTING.md has in code type exists.
func TestContributingNamesWhatThereIs(t *testing.T) {
	page, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	known := declared(t)
	spans := regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(page), -1)
	if len(spans) < 50 {
		t.Fatalf("only %d names found", len(spans))
	}
	for _, span := range spans {
		if missing := known.missing(span[1]); missing != "" {
			t.Errorf("CONTRIBUTING.md names `%s`: %s does not exist", span[1], missing)
		}
	}
}

// TestArchitectureNamesWhatThereIs is the same of the answers on where something is.
func TestArchitectureNamesWhatThereIs(t *testing.T) {
	page, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, answers, found := strings.Cut(string(page), "## Where is it?")
	answers, _, more := strings.Cut(answers, "## Large types")
	if !found || !more {
		t.Fatal("docs/architecture.md does not say where things are")
	}
	known := declared(t)
	for _, span := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(answers, -1) {
		if missing := known.missing(span[1]); missing != "" {
			t.Errorf("docs/architecture.md names `%s`: %s does not exist", span[1], missing)
		}
	}
}

// TestMissingNamesAreFound holds the search itself to what it must find.
func TestMissingNamesAreFound(t *testing.T) {
	known := declared(t)
	for text, want := range map[string]string{
		"manifests/gone.go": "manifests/gone.go", "controller/gone": "controller/gone", "goneIdentifier": "goneIdentifier",
		"config.Gone": "config.Gone", "gone.Source": "gone.Source", "oneshot.GitOptions": "oneshot.GitOptions", "go test ./gone -run TestHelp": "./gone", "go test ./manifests -run TestGone": "TestGone",
		"go test ./manifests -gone": "-gone", "./gone.sh": "./gone.sh", "pacer gone": "pacer gone", "-gone": "-gone",
		"manifests/app.go": "", "config.Source": "", "App": "", "pacer explain": "", "./test.sh": "", "-short": "",
	} {
		if got := known.missing(text); got != want {
			t.Errorf("%s: missing is %q, expected %q", text, got, want)
		}
	}
}

// names are the identifiers that the repository declares: packages, types, functions,
// variables, methods, members; each also with its package, as in config.Source.
type names map[string]bool

// notOurs are what the page names of others: packages and words of Go, a tag of ours,
// an address of the API, the beginning and the end of the names of metrics, an argument.
var notOurs = []string{"testing/synctest", "omitzero", `reload:"restart"`, "POST /webhooks/{source}", "pacer_", "_total", "SOURCE", "code type"}

// goFlags are flags of go test, and ours.
var goFlags = []string{"-short", "-run", "-race", "-count", "-update"}

// missing is the part of a text that does not exist; empty: all of it does.
//
//	text                   exists if
//	go test ./PATH -run T  the path is there, and the test, and the flags
//	pacer VERB             the verb is there
//	-flag                  it is one of goFlags
//	with a slash           the path is there
//	any other              the path is there, or it is declared; with a dot, in that package
func (n names) missing(text string) string {
	words := strings.Fields(text)
	switch {
	case slices.Contains(notOurs, text):
		return ""
	case words[0] == "go":
		for _, word := range words[2:] {
			if m := n.missing(word); m != "" {
				return m
			}
		}
		return ""
	case words[0] == "pacer" && len(words) > 1:
		if c, _, err := newRoot().Find(words[1:]); err != nil || c == c.Root() {
			return text
		}
		return ""
	case strings.HasPrefix(text, "-"):
		if slices.Contains(goFlags, text) {
			return ""
		}
		return text
	}
	if _, err := os.Stat(filepath.Join("../..", strings.TrimSuffix(text, "/..."))); err == nil {
		return ""
	}
	if strings.Contains(text, "/") {
		return text
	}
	if !n[text] {
		return text
	}
	return ""
}

// declared collects all names of the repository.
func declared(t *testing.T) names {
	t.Helper()
	found := names{}
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		found.collect(file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (n names) collect(file *ast.File) {
	n[file.Name.Name] = true
	add := func(all ...*ast.Ident) {
		for _, i := range all {
			n[i.Name], n[file.Name.Name+"."+i.Name] = true, true
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch d := node.(type) {
		case *ast.FuncDecl:
			add(d.Name)
			return false // what is inside is local
		case *ast.TypeSpec:
			add(d.Name)
		case *ast.ValueSpec:
			add(d.Names...)
		case *ast.Field:
			add(d.Names...)
		}
		return true
	})
}

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite golden files and generated docs")

const cliPage = "../../docs/cli.md"

// TestCommandLineDocs keeps docs/cli.md the same as the code.
func TestCommandLineDocs(t *testing.T) {
	want := commandLinePage(newRoot())
	if *update {
		if err := os.WriteFile(cliPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(cliPage)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is stale: go test ./cmd/pacer -run TestCommandLineDocs -update\n%s", cliPage, diff)
	}
}

func commandLinePage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Command line\n\nThis page is made from the code: `go test ./cmd/pacer -run TestCommandLineDocs -update`.\n\n")
	b.WriteString("Exit codes: 0 done, or nothing to do; 1 error (bad input, refused, failed rollout); 2 changes are pending\n(`plan` and `diff --detailed-exitcode`); 3 timed out waiting.\n")
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, group := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		writeCommands(&b, root, group.ID)
	}
	return b.String()
}

// writeCommands writes a section for each command of a group below one.
func writeCommands(b *strings.Builder, above *cobra.Command, group string) {
	for _, c := range above.Commands() {
		if c.Hidden || c.Name() == "help" || c.GroupID != group {
			continue
		}
		fmt.Fprintf(b, "\n### %s\n\n%s.\n", strings.TrimPrefix(c.CommandPath(), "pacer "), strings.TrimSuffix(c.Short, "."))
		fmt.Fprintf(b, "\n    %s\n", c.UseLine())
		if c.Long != "" && c.Name() != "completion" {
			fmt.Fprintf(b, "\n%s\n", c.Long)
		}
		if c.HasExample() {
			b.WriteString("\nExamples:\n\n")
			for line := range strings.Lines(c.Example) {
				b.WriteString("  " + line)
			}
			b.WriteString("\n")
		}
		writeFlags(b, c)
		if c.Name() != "completion" {
			writeCommands(b, c, "")
		}
	}
}

func writeFlags(b *strings.Builder, c *cobra.Command) {
	if !c.LocalFlags().HasAvailableFlags() {
		return
	}
	b.WriteString("\n| flag | default | meaning |\n|---|---|---|\n")
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		name = strings.TrimSpace(name + " " + kind)
		if f.NoOptDefVal != "" && kind != "" { // a value is only taken after =
			name = strings.Replace(name, " "+kind, "[="+kind+"]", 1)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", cell(name), cell(f.DefValue), cell(usage))
	})
}

// TestHelp holds what is said of each command to: the one-line purpose first, a
// group, and examples that the command line takes.
func TestHelp(t *testing.T) {
	root := newRoot()
	for _, c := range allCommands(root) {
		var help strings.Builder
		c.SetOut(&help)
		if err := c.Help(); err != nil || !strings.HasPrefix(help.String(), c.Short+".\n") {
			t.Errorf("%s: %v: its help does not begin with %q: %.200s", c.CommandPath(), err, c.Short, help.String())
		}
		if c.Parent() == root && !root.ContainsGroup(c.GroupID) || c.Parent() == root && c.GroupID == "" {
			t.Errorf("%s is in no group of the help", c.CommandPath())
		}
		examples := 0
		for line := range strings.Lines(c.Example) {
			examples++
			if err := parsed(strings.TrimSpace(line), c.CommandPath()); err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), line, err)
			}
		}
		if examples < 1 || examples > 3 {
			t.Errorf("%s has %d examples, expected one to three", c.CommandPath(), examples)
		}
	}
}

// allCommands are those that the help shows and that are ours.
func allCommands(above *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range above.Commands() {
		if !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
			all = append(append(all, c), allCommands(c)...)
		}
	}
	return all
}

// parsed takes an example line apart as the command line would, and says whether
// it is one of the command at path. It runs nothing.
func parsed(line, path string) error {
	line, _, _ = strings.Cut(line, "  #")
	words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1)
	for i := range words {
		words[i] = strings.Trim(words[i], "'")
	}
	c, rest, err := newRoot().Find(words[1:])
	switch {
	case err != nil:
		return err
	case words[0] != "pacer" || !strings.HasPrefix(c.CommandPath(), path):
		return fmt.Errorf("it is one of %s", c.CommandPath())
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		return err
	}
	if c.PreRunE != nil {
		return c.PreRunE(c, c.Flags().Args())
	}
	return nil
}

func cell(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(s, "[]"), "|", "\\|")
}

var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

// TestLinks follows every link from one of our pages to another file of ours.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "../../README.md", "../../CHANGELOG.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// TestPerformancePageHasEveryFigure keeps docs/performance.md to what bench.sh
// prints, and that to the benchmarks there are.
func TestPerformancePageHasEveryFigure(t *testing.T) {
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("../../bench.sh")
	if err != nil {
		t.Fatal(err)
	}
	benchmarks, err := os.ReadFile("goals_test.go")
	if err != nil {
		t.Fatal(err)
	}
	goals := regexp.MustCompile(`(?m)^(\w+)[^|\n]*\|[^|\n]*\|[^|\n]*\|(.*)$`).FindAllStringSubmatch(string(script), -1)
	if len(goals) < 10 {
		t.Fatalf("only %d goals found in bench.sh", len(goals))
	}
	for _, g := range goals {
		if !strings.Contains(string(page), "| "+g[2]+" ") {
			t.Errorf("docs/performance.md has no line %q, which bench.sh prints", g[2])
		}
		if !strings.Contains(string(benchmarks), "func BenchmarkGoal"+g[1]+"(") {
			t.Errorf("bench.sh names the benchmark %s, which is not there", g[1])
		}
	}
}

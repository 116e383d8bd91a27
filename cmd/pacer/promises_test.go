package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// promisesFile lists what the pages promise, and the tests that show it: below
// "# PAGE", a line per promise: QUOTE → TEST …, or QUOTE → - REASON for what
// promises nothing that a test could show. A quote is text of the page in one or
// more sentences, table rows or code blocks; it covers each of them. A test is
// PACKAGE.TestName, with the folder of the package, or script/NAME of
// testdata/script.
const promisesFile = "testdata/promises.txt"

var promisingPages = []string{"README.md", "docs/tour.md", "docs/configuration.md"}

type promise struct {
	page, quote string
	tests       []string
	why         string // it promises nothing
}

// TestEachPromiseHasATest holds README, tour and configuration to the tests: each
// sentence is in promisesFile, which names tests that exist, and what is quoted there
// is still said. It cannot know that a test shows what is said: who changes a
// sentence, and so the list, reads the test.
func TestEachPromiseHasATest(t *testing.T) {
	promises := readPromises(t)
	tests := allTests(t)
	for _, p := range promises {
		if !slices.Contains(promisingPages, p.page) {
			t.Errorf("%s: %s is no page with promises", promisesFile, p.page)
		}
		if len(p.tests) == 0 && p.why == "" {
			t.Errorf("%s: no test and no reason: %s", promisesFile, p.quote)
		}
		for _, name := range p.tests {
			if !tests[name] {
				t.Errorf("%s: there is no test %s%s, which shows %q", promisesFile, name, movedTo(name, tests), p.quote)
			}
		}
	}
	for _, page := range promisingPages {
		text, err := os.ReadFile(filepath.Join("../..", page))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range uncovered(page, string(text), promises) {
			t.Error(fault)
		}
	}
}

// movedTo says where a test of that name is, if another package has it.
func movedTo(name string, tests map[string]bool) string {
	for other := range tests {
		if path.Ext(other) == path.Ext(name) && path.Ext(name) != "" {
			return " (but " + other + ")"
		}
	}
	return ""
}

// uncovered returns what is said on a page and not in the list, and what is in the
// list and no longer said.
func uncovered(page, text string, promises []promise) []string {
	var faults []string
	blocks := blocksOf(text)
	said := map[string]bool{}
	for _, b := range blocks {
		var covered [][2]int
		for _, p := range promises {
			for from := 0; p.page == page; {
				at := strings.Index(b.text[from:], p.quote)
				if at < 0 {
					break
				}
				said[p.quote] = true
				covered = append(covered, [2]int{from + at, from + at + len(p.quote)})
				from += at + len(p.quote)
			}
		}
		for _, s := range b.sentences() {
			if !slices.ContainsFunc(covered, func(c [2]int) bool { return c[0] < s[1] && s[0] < c[1] }) {
				faults = append(faults, page+" § "+b.section+": no test shows this; find or write one, and list it in "+promisesFile+":\n\t"+b.text[s[0]:s[1]])
			}
		}
	}
	for _, p := range promises {
		if p.page == page && !said[p.quote] {
			faults = append(faults, promisesFile+": "+page+" no longer says this; does what it says now hold, and do its tests show it?\n\t"+p.quote+"\n\t"+strings.Join(p.tests, " "))
		}
	}
	return faults
}

// A block is a paragraph, an item of a list, a row of a table or a code block, with
// its white space made single.
type block struct {
	section, text string
	whole         bool // it has no sentences: a row, or code
}

var (
	endOfSentence = regexp.MustCompile(`[.!?][)"]*( )[A-Z"*\x60\[]`)
	item          = regexp.MustCompile(`^(?:- |\d+\. )`)
	noPromise     = regexp.MustCompile(`^(?:<!--.*-->|\|[-|]+\|)$`)
)

func blocksOf(text string) []block {
	var blocks []block
	var section string
	more := false // the next line continues the last block
	add := func(line string, whole bool) {
		blocks = append(blocks, block{section: section, text: line, whole: whole})
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		words := strings.Join(strings.Fields(line), " ")
		code, row := strings.HasPrefix(line, "    "), strings.HasPrefix(line, "|")
		header := row && i+1 < len(lines) && noPromise.MatchString(lines[i+1])
		switch last := len(blocks) - 1; {
		case strings.HasPrefix(line, "#"):
			section, more = strings.TrimLeft(words, "# "), false
		case words == "" || header || noPromise.MatchString(words):
			more = false
		case row:
			add(words, true)
			more = false
		case code && !(more && !blocks[last].whole):
			if !more {
				add(words, true)
			} else {
				blocks[last].text += " " + words
			}
			more = true
		case more && !item.MatchString(line):
			blocks[last].text += " " + words
		default:
			add(words, false)
			more = true
		}
	}
	return blocks
}

// sentences returns where each sentence of a block starts and ends.
func (b block) sentences() [][2]int {
	start := 0
	var all [][2]int
	if !b.whole {
		for _, m := range endOfSentence.FindAllStringSubmatchIndex(b.text, -1) {
			all = append(all, [2]int{start, m[2]})
			start = m[3]
		}
	}
	return append(all, [2]int{start, len(b.text)})
}

func readPromises(t *testing.T) []promise {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", promisesFile))
	if err != nil {
		t.Fatal(err)
	}
	var all []promise
	page := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		quote, shown, ok := strings.Cut(line, " → ")
		if name, header := strings.CutPrefix(line, "# "); header {
			page = name
		} else if why, none := strings.CutPrefix(shown, "- "); none {
			all = append(all, promise{page: page, quote: quote, why: why})
		} else if ok {
			all = append(all, promise{page: page, quote: quote, tests: strings.Fields(shown)})
		} else if line != "" {
			t.Errorf("%s: expected QUOTE → TEST, found %q", promisesFile, line)
		}
	}
	return all
}

// allTests are the tests of the repository, as promisesFile names them.
func allTests(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	root := os.DirFS("../..")
	for _, file := range walk(t, root, ".", ".go") {
		if !strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../..", file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, is := d.(*ast.FuncDecl); is && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				tests[path.Dir(file)+"."+f.Name.Name] = true
			}
		}
	}
	scripts, err := fs.Glob(root, "testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		tests["script/"+strings.TrimSuffix(path.Base(script), ".txtar")] = true
	}
	return tests
}

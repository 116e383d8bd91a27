package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A retired word is not used in anything that people read; docs/glossary.md has
// the words to use.
type retired struct {
	word   *regexp.Regexp
	except *regexp.Regexp // its other meanings, which stay; nil: none
	use    string
}

func retire(word, except, use string) retired {
	r := retired{word: regexp.MustCompile(`(?i)\b(?:` + word + `)\b`), use: use}
	if except != "" {
		r.except = regexp.MustCompile(`(?i)\b(?:` + except + `)\b`)
	}
	return r
}

// retiredWords is the third column of the glossary, and the words that the
// project's sentences do without.
var retiredWords = []retired{
	// Terms.
	retire(`look(?:s|ed|ing)?\s+at|looked|lookups? of a source|(?:a|an|the|each|every|next|last|one|its|first)\s+looks?`, "", "fetch, read, check, compare"),
	retire(`what\s+git\s+(?:wants|has)|git\s+wants|wanted`, "", "desired, what git defines"),
	retire(`wants?\s+\S`, `you\s+want|wants=network-online`, "needs, requires, expects"),
	retire(`(?:a|an|the|each|every|one|no|this|that|its|his|next|last|first|second|another|other|longest|earlier|later|two|both|whole|newest)\s+pass(?:es)?|passes|pass\s+of\s+a\s+sync`,
		`passes\s+(?:on|its|their)|(?:check|checks|that)\s+passes`, "reconciliation"),
	retire(`asked\s+for\s+by`, "", "triggered by, requested by"),
	retire(`held\s+back|hold(?:s|ing)?\s+back`, "", "blocked"),
	retire(`let(?:s|ting)?\s+through|lets?\s+\w+\s+through`, "", "approve"),
	retire(`begun|under\s+way`, "", "started, in progress"),
	retire(`(?:not\s+up|com(?:e|es|ing)\s+up|came\s+up|is\s+up|are\s+up|be\s+up)`, `(?:is|are)\s+up\s+to`, "healthy, converged, running"),
	retire(`put(?:s|ting)?(?:\s+(?:it|them|that|this))?\s+back|undone|undo(?:es)?`, "", "healed, reverted"),
	retire(`fights?|fought`, "", "drift conflict"),
	retire(`outcast|in\s+line`, "", "candidate"),
	retire(`leads?`, `leads?\s+to|leads?\s+out`, "is the leader"),
	retire(`fares?`, "", "health, state"),
	retire(`go(?:es|ing)?\s+round|circles?`, "", "dependency cycle"),
	retire(`breaths?|patience`, "", "debounce, settling time"),
	// Sentences.
	retire(`till`, "", "until"),
	retire(`anew`, "", "again"),
	retire(`beside`, "", "with, next to, in addition to"),
	retire(`so\s+many`, "", "N, at most N"),
	retire(`go(?:es|ing)?\s+on|went\s+on`, "", "continues"),
	retire(`stand|stands|stood`, "", "is, is a candidate, represents"),
	retire(`mend|mends|mended|mending`, "", "fix"),
	retire(`dear`, "", "expensive"),
	retire(`in\s+vain`, "", "without effect"),
	retire(`whoever|somebody|nobody`, "", "a noun: anyone who, another client, a person, no one"),
	retire(`tell|tells|told|telling`, `(?:can|could)(?:not|\s+not)?\s+tell|can't\s+tell`, "report, say, show"),
	retire(`hear|hears|heard`, "", "receive"),
	retire(`as\s+asked\s+for`, "", "as requested"),
	retire(`(?:is|are|was|were)\s+meant`, "", "expected X, found Y"),
	retire(`of\s+before`, "", "previous, earlier"),
	retire(`whose\s+turn|by\s+and\s+by|for\s+ever|in\s+earnest|all\s+the\s+same`, "", "plain words"),
}

// find returns where in a text the word is, outside of its other meanings.
func (r retired) find(text string) [][]int {
	found := r.word.FindAllStringIndex(text, -1)
	if r.except == nil {
		return found
	}
	other := r.except.FindAllStringIndex(text, -1)
	return slices.DeleteFunc(found, func(at []int) bool {
		return slices.ContainsFunc(other, func(o []int) bool { return o[0] <= at[0] && at[1] <= o[1] })
	})
}

// around is a text's part around a place in it, on one line.
func around(text string, at []int) string {
	const width = 60
	return strings.Join(strings.Fields(text[max(0, at[0]-width):min(len(text), at[1]+width)]), " ")
}

// notForPeople are literals that are names in a system, not texts.
var notForPeople = map[string]string{
	"begun":  "the folder in which pacer apply records what it started",
	"nobody": "the account of Unix as which tests run what refuses to run as root",
}

// readable is a text for people, and where it begins.
type readable struct {
	file string
	line int
	text string
}

var goFolders = []string{"clienttls", "cmd", "controller", "internal", "manifests", "meter", "sources", "visible"}

func TestRetiredWordsStayOut(t *testing.T) {
	for _, text := range readables(t) {
		for _, r := range retiredWords {
			for _, at := range r.find(text.text) {
				line := text.line + strings.Count(text.text[:at[0]], "\n")
				t.Errorf("%s:%d: %q: write %s: … %s …", text.file, line, text.text[at[0]:at[1]], r.use, around(text.text, at))
			}
		}
	}
}

// TestRetiredWordsAreFound holds the search itself to what it must find and must not.
func TestRetiredWordsAreFound(t *testing.T) {
	for text, want := range map[string]int{
		"held back by /shop/db": 1, "the\n  looks at the source": 1, "each pass ends": 1, "Nobody reads it, till then": 2, "it was put back": 1, "this replica leads": 1, "is told": 1,
		"cannot tell whether tasks run": 0, "a symlink that leads out of it": 0, "a check that passes": 0, "you want it": 0, "withheld background": 0, "understands standard": 0,
	} {
		found := 0
		for _, r := range retiredWords {
			found += len(r.find(text))
		}
		if found != want {
			t.Errorf("%q: found %d retired words, expected %d", text, found, want)
		}
	}
	files, joinedTexts := map[string]bool{}, 0
	for _, text := range readables(t) {
		files[text.file] = true
		if strings.Contains(text.text, "_") && strings.HasSuffix(text.file, ".go") {
			joinedTexts++
		}
	}
	for _, file := range []string{"cmd/pacer/plan.go", "controller/config/config.go", "manifests/schema_app.go", "docs/api.md", "README.md", "deploy/pacer.yaml", "controller/web/assets/page.html"} {
		if !files[file] {
			t.Errorf("%s is not searched", file)
		}
	}
	if joinedTexts < 50 {
		t.Errorf("only %d literals are joined where + joins them", joinedTexts)
	}
}

func readables(t *testing.T) []readable {
	t.Helper()
	var all []readable
	root := os.DirFS("../..")
	for _, folder := range goFolders {
		for _, file := range walk(t, root, folder, ".go") {
			if !strings.HasSuffix(file, "_test.go") {
				all = append(all, literals(t, file)...)
			}
		}
	}
	for _, file := range slices.Concat(walk(t, root, "docs", ".md"), walk(t, root, "controller/web/assets", ".html", ".js"), walk(t, root, "deploy"), []string{"README.md", "CONTRIBUTING.md"}) {
		if file != "docs/glossary.md" { // it may name what it retires
			all = append(all, page(t, file))
		}
	}
	return append(all, unreleased(t)...)
}

func walk(t *testing.T, root fs.FS, folder string, ends ...string) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(root, folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case !d.IsDir() && (len(ends) == 0 || slices.Contains(ends, filepath.Ext(path))):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// literals are the texts in the source of a package: string literals, joined
// where + joins them, and the descriptions in struct tags.
func literals(t *testing.T, file string) []readable {
	t.Helper()
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, filepath.Join("../..", file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []readable
	add := func(at token.Pos, text string) {
		all = append(all, readable{file, files.Position(at).Line, text})
	}
	done := map[*ast.BasicLit]bool{} // tags, and what was joined
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			if n.Tag != nil {
				done[n.Tag] = true
				add(n.Tag.Pos(), descriptions(n.Tag))
			}
		case *ast.BinaryExpr:
			if text := joined(n, done); text != "" {
				add(n.Pos(), text)
			}
		case *ast.BasicLit:
			text := unquoted(n)
			if _, name := notForPeople[text]; n.Kind == token.STRING && !done[n] && !name {
				add(n.Pos(), text)
			}
		}
		return true
	})
	return all
}

// joined is the text of the literals that + joins, with _ for what else it joins;
// empty where there is none, or where they are done.
func joined(e ast.Expr, done map[*ast.BasicLit]bool) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING && !done[e] {
			done[e] = true
			return unquoted(e)
		}
	case *ast.BinaryExpr:
		left, right := joined(e.X, done), joined(e.Y, done)
		if left+right != "" {
			return cmp.Or(left, "_") + cmp.Or(right, "_")
		}
	}
	return ""
}

var jsonKey = regexp.MustCompile(`"\w+":`)

// unquoted is the text of a literal without the JSON keys in it.
func unquoted(l *ast.BasicLit) string {
	text, err := strconv.Unquote(l.Value)
	if err != nil {
		return ""
	}
	return mask(text, jsonKey)
}

// descriptions are the texts for people in a struct tag.
func descriptions(tag *ast.BasicLit) string {
	return reflect.StructTag(unquoted(tag)).Get("jsonschema_description")
}

var (
	codeWord = regexp.MustCompile("`[\\w.\\[\\]/-]*`") // a key, a path or a name, not a sentence
	action   = regexp.MustCompile(`\{\{[^}]*\}\}`)     // of a template
	address  = regexp.MustCompile(`\]\([^)]*\)`)
)

// page is the text of a page, whole, so that a term of two words is found across
// lines.
func page(t *testing.T, file string) readable {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", file))
	if err != nil {
		t.Fatal(err)
	}
	return readable{file, 1, mask(string(text), codeWord, action, address, jsonKey)}
}

// mask blanks what expressions match, so that the rest keeps its line.
func mask(text string, none ...*regexp.Regexp) string {
	for _, n := range none {
		text = n.ReplaceAllStringFunc(text, func(s string) string { return "_" + strings.Repeat("\n", strings.Count(s, "\n")) })
	}
	return text
}

// unreleased are the entries of the changelog that are newer than this test.
func unreleased(t *testing.T) []readable {
	t.Helper()
	const file = "CHANGELOG.md"
	text, err := os.ReadFile("../../" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []readable
	for i, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, firstOfTheseWords) {
			return all
		}
		all = append(all, readable{file, i + 1, mask(line, codeWord, address)})
	}
	t.Fatalf("%s has no line that begins with %q", file, firstOfTheseWords)
	return nil
}

// firstOfTheseWords begins the newest entry of the changelog that is older than
// the glossary.
const firstOfTheseWords = "- [FIX] While a sync is rolled back, or held"

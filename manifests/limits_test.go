package manifests

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests/syntax"
)

func oneFile(name, content string) fstest.MapFS {
	return fstest.MapFS{name: &fstest.MapFile{Data: []byte(content)}}
}

// TestEncodings holds what a golden file cannot.
func TestEncodings(t *testing.T) {
	for _, c := range []struct{ name, file, content, want string }{
		{"byte order mark", "a.json", "\xef\xbb\xbf{}", "a.json:1:1: begins with a byte order mark: save the file as UTF-8 without one"},
		{"UTF-16 LE", "a.yaml", "\xff\xfei\x00d\x00", "a.yaml:1:1: is UTF-16: save the file as UTF-8"},
		{"UTF-16 BE", "a.yaml", "\xfe\xff\x00i", "a.yaml:1:1: is UTF-16: save the file as UTF-8"},
		{"Latin-1", "a.yaml", "id: a\nuser: J\xfcrg\n", "a.yaml:2:8: is not valid UTF-8 from here: save the file as UTF-8"},
		{"NUL", "a.json", "{\"id\":\"a\x00\"}", "a.json:1:9: has a control character: remove it, or write it as an escape in a quoted text"},
		{"escape sequence", "a.yaml", "id: a\n\tb: \x1b[31m", "a.yaml:2:5: has a control character: remove it, or write it as an escape in a quoted text"},
		{"nothing", "a.yaml", "", "a.yaml:1:1: the file is empty: delete it, or write a definition"},
		{"blanks", "a.json", " \n\t\n", "a.json:1:1: the file is empty: delete it, or write a definition"},
		{"pointer of Git LFS", "a.json", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n",
			"a.json:1:1: is a pointer of Git LFS, not the file itself: keep manifests out of LFS (.gitattributes)"},
		{"conflict in JSON", "a.json", "{\"id\": \"a\",\n<<<<<<< HEAD\n\"cmd\": \"one\"}\n=======\n\"cmd\": \"two\"}\n>>>>>>> theirs\n",
			"a.json:2:1: /a: an unresolved merge conflict: keep one side, and remove the lines with <<<<<<<, ======= and >>>>>>>"},
		{"conflict in YAML", "a.yaml", "id: a\r\n<<<<<<< HEAD\r\ncmd: one\r\n=======\r\ncmd: two\r\n>>>>>>> theirs\r\n",
			"a.yaml:2:1: an unresolved merge conflict: keep one side, and remove the lines with <<<<<<<, ======= and >>>>>>>"},
		{"hostile name", "a\nb.json", "{", `a\nb.json:1:2: the file ends before the end of the "{" at 1:1: is "}" missing?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewReader().Read(oneFile(c.file, c.content), Options{})
			if diff := cmp.Diff([]string{c.want}, texts(d)); diff != "" {
				t.Error(diff)
			}
			if len(d.Items) > 0 || len(d.Unreadable) != 1 {
				t.Errorf("items %q, unreadable %q", ids(d), d.Unreadable)
			}
		})
	}
}

// bomb is nine lines of aliases that stand for 9^9 values.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	return b.String()
}

// wideBomb is 124 KiB of aliases of one long value.
func wideBomb() string {
	return "id: a\nlabels:\n  a: &a " + strings.Repeat("x", 60_000) + "\n  b: [" + strings.Repeat("*a,", 20_000) + "*a]\n"
}

func manyKeys(format string) string { return rise(format, 200_000) }

func rise(format string, count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestHostile(t *testing.T) {
	large := Limits{FileBytes: 16 << 20}
	for _, c := range []struct {
		name, file, content string
		limits              Limits
		want                string // one problem begins so
	}{
		{"alias bomb", "a.yaml", bomb(), Limits{}, `a.yaml:1:1: none of the keys of an app, pod or group`},
		{"wide alias bomb", "a.yaml", wideBomb(), Limits{}, `a.yaml:4:7: /a: anchors and aliases ("&", "*") are not supported`},
		{"deep JSON", "a.json", strings.Repeat("[", 10_000), Limits{}, `a.json:1:101: lists and objects are nested deeper than 100: that is no manifest`},
		{"deep closed JSON", "a.json", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), Limits{}, `a.json:1:501: lists and objects are nested deeper than 100`},
		{"deep YAML", "a.yaml", strings.Repeat("[", 10_000), Limits{}, `a.yaml:1:1: YAML: did not find expected node content`},
		{"deep closed YAML", "a.yaml", strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), Limits{}, `a.yaml:1:101: lists and objects are nested deeper than 100: that is no manifest`},
		{"deep block YAML", "a.yaml", strings.Repeat("- ", 9_000) + "a", Limits{}, `a.yaml:1:201: lists and objects are nested deeper than 100: that is no manifest`},
		{"deep keys YAML", "a.yaml", strings.Repeat("? ", 9_000) + "a", Limits{}, `a.yaml:1:`},
		{"200,000 keys JSON", "a.json", `{` + manyKeys(`"k%d":1,`) + `"z":1}`, large, `a.json:1:538889: the file has more than 100000 keys and values: split it into several files`},
		{"200,000 keys YAML", "a.yaml", manyKeys("k%d: 1\n"), large, `a.yaml:50000:7: the file has more than 100000 keys and values: split it into several files`},
		{"200,000 flow keys YAML", "a.yaml", "{" + manyKeys("k%d,") + "}", large, `a.yaml:1:`},
		{"200,000 members YAML", "a.yaml", manyKeys("- %d\n"), large, `a.yaml:`},
		{"28,000 unknown fields", "a.json", `{"id": "a", ` + rise(`"k%d": 1, `, 28_000) + `"cmd": "sleep 1"}`, Limits{}, `a.json:1:1: /a: the definition has 28002 members: at most 5000 are allowed; split the definition into several`},
		{"200,000 faults", "a.json", strings.Repeat("] ", 200_000), Limits{}, `a.json:1:`},
		{"200,000 opened strings", "a.json", strings.Repeat("\"\n", 200_000), Limits{}, `a.json:`},
		{"200,000 quotes YAML", "a.yaml", "a: " + strings.Repeat("'", 200_001), Limits{}, `a.yaml:1:`},
		{"200,000 documents", "a.yaml", strings.Repeat("---\n", 200_000), Limits{}, `a.yaml`},
		{"long id", "a.json", `{"id": "` + strings.Repeat("/a", 400_000) + `", "cmd": "sleep 1"}`, Limits{}, `a.json:1:2: the id "/a/a/`},
		{"large", "a.json", strings.Repeat(" ", 1<<20+1), Limits{}, `a.json: is larger than 1048576 bytes: split it, or list it in .pacerignore if it is no manifest`},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := oneFile(c.file, c.content)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var d Desired
			took := testenv.CPUTime(t, func() { d = NewReader().Read(fsys, Options{Limits: c.limits}) })
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d KiB", took, (after.TotalAlloc-before.TotalAlloc)>>10)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
				t.Errorf("allocated %d MiB", allocated>>20)
			}
			if took > 2*time.Second { // the goal is 100 ms; the race detector and a slow machine cost
				t.Errorf("took %v", took)
			}
			problems := texts(d)
			if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, c.want) }) {
				t.Errorf("problems: %d, first %.200q\nwant %q", len(problems), problems[:min(len(problems), 1)], c.want)
			}
			if len(problems) > maxFileProblems+1 || len(d.Items) > 0 {
				t.Errorf("%d problems, %d items", len(problems), len(d.Items))
			}
		})
	}
}

// TestSourceLimits: a source beyond its limits is used in no part.
func TestSourceLimits(t *testing.T) {
	fsys := fstest.MapFS{}
	for i := range 30 {
		fsys[fmt.Sprintf("f%d/a.json", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"id": "a%d", "cmd": "sleep 100"}`, i)}
	}
	deep := strings.Repeat("d/", 150) + "a.json"
	for _, c := range []struct {
		name   string
		fsys   fstest.MapFS
		limits Limits
		path   string
		want   string
		items  int
	}{
		{"within", fsys, Limits{Files: 30}, "", "", 30},
		{"files", fsys, Limits{Files: 29}, "", ".: has more than 29 manifests: nothing of it is used; split it into several syncs, or leave out files by .pacerignore", 0},
		{"bytes", fsys, Limits{TotalBytes: 500}, "", ".: has manifests of more than 500 bytes: nothing of it is used; split it into several syncs, or leave out files by .pacerignore", 0},
		{"folders", oneFile(deep, "{}"), Limits{}, "", strings.TrimSuffix(strings.Repeat("d/", 101), "/") + ": folders are nested deeper than 100: it is not read", 0},
		{"no folder", fsys, Limits{}, "none", "none: no such folder: check the path; until it exists nothing is changed or deleted", 0},
		{"outside", fsys, Limits{}, "../x", "../x: leaves the source: the path is one within it", 0},
		{"a file", fsys, Limits{}, "f1/a.json", "f1/a.json: the folder cannot be read: not implemented", 0},
		{"nothing", oneFile("README.md", "x"), Limits{}, "", ".: there are no manifests here: an empty source deletes nothing; check the path and .pacerignore", 0},
		{"empty list", oneFile("a.json", "[]"), Limits{}, "/", ".: there are no manifests here: an empty source deletes nothing; check the path and .pacerignore", 0},
		{"part", fsys, Limits{}, "/f7/", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := NewReader().Read(c.fsys, Options{Path: c.path, Limits: c.limits})
			if got := strings.Join(texts(d), "\n"); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			if len(d.Items) != c.items || (len(d.Unreadable) > 0) != (c.want != "") {
				t.Errorf("%d items, unreadable %q", len(d.Items), d.Unreadable)
			}
		})
	}
}

// TestReferenceTellsLimits keeps docs/manifests.md true to the defaults.
func TestReferenceTellsLimits(t *testing.T) {
	text, err := os.ReadFile("../docs/manifests.md")
	if err != nil {
		t.Fatal(err)
	}
	l := Limits{}.withDefaults()
	thousands := func(n int) string { return fmt.Sprintf("%d,%03d", n/1000, n%1000) }
	for _, want := range []string{
		fmt.Sprintf("one file | %d MiB, lists and objects %d deep, %s keys and values, %s apps, pods and groups; its path %s bytes",
			l.FileBytes>>20, l.Depth, thousands(l.Values), thousands(l.Definitions), thousands(maxPath)),
		fmt.Sprintf("one YAML file | %s documents, %d lines that begin with `%%`, %s values that YAML readers may differ on", thousands(l.Documents), syntax.MaxDirectives, thousands(syntax.MaxReadTwice)),
		fmt.Sprintf("an id, a key | %s bytes; an id %d groups deep", thousands(max(maxID, syntax.MaxKey)), maxSegments),
		fmt.Sprintf("the values substituted for `${…}` in a file | %d MiB; %d MiB", 2*l.FileBytes>>20, l.FileBytes>>20),
		fmt.Sprintf("a regular expression in a constraint | %s bytes; what is beyond %d KiB of them in a file", thousands(maxRegexp), maxParsedRegexps>>10),
		fmt.Sprintf("one list or object in a definition | %s members", thousands(maxMembers)),
		fmt.Sprintf("%s manifests, %d MiB, folders %d deep, %s apps, pods and groups, %d,%s keys and values, of which each %d bytes", thousands(l.Files), l.TotalBytes>>20, maxFolders, thousands(l.TotalDefinitions), l.TotalValues/1_000_000, thousands(l.TotalValues%1_000_000), bytesOfValue),
		fmt.Sprintf("%d of a file, %s of a source, %s bytes each", maxFileProblems, thousands(maxSourceProblems), thousands(maxMessage)),
		fmt.Sprintf("%d lines of %s bytes and %d wildcards", maxIgnoreRules, thousands(maxIgnoreRule), maxWildcards),
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("docs/manifests.md does not say %q", want)
		}
	}
}

// TestManyAtOdds: what is wrong with thousands of definitions side by side costs
// no more than in proportion to them.
func TestManyAtOdds(t *testing.T) {
	for _, c := range []struct {
		name, format string
		problems     int
		want         string
	}{
		{"same id", `{"id": "/a", "cmd": "sleep 1", "labels": {"n": "%d"}}`, 1, `f0.json:1:2: /a: the id is defined 2000 times: also as an app at f1.json:1, as an app at f10.json:1, as an app at f100.json:1, as an app at f1000.json:1, as an app at f1001.json:1 and 1994 more; give each its own, or remove all but one`},
		{"same group", `{"id": "/a", "enforceRole": false, "apps": [{"id": "x%d", "cmd": "sleep 1"}]}`, 0, ""},
		{"children", `[{"id": "/a", "cmd": "sleep 1"}, {"id": "/a/x%d", "cmd": "sleep 1"}]`, 2002, `f0.json:1:35: /a/x0: is below /a, which is an app (f0.json:1): an id below it needs a group there; rename one`},
		{"dependencies", `{"id": "/a/x%d", "cmd": "sleep 1", "dependencies": ["/a"]}`, 2000, `f0.json:1:52: /a/x0: dependency cycle: /a/x0 -> /a/x0: remove one of these dependencies, which may be on a group, or of one`},
	} {
		t.Run(c.name, func(t *testing.T) {
			fsys := fstest.MapFS{}
			for i := range 2000 {
				fsys[fmt.Sprintf("f%d.json", i)] = file(fmt.Sprintf(c.format, i))
			}
			var d Desired
			if took := testenv.CPUTime(t, func() { d = NewReader().Read(fsys, Options{}) }); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			errors, _ := CountProblems(d.Problems)
			if c.want != "" && !slices.Contains(texts(d), c.want) || errors != c.problems || len(d.Problems) > maxSourceProblems+1 {
				t.Errorf("%d problems, want %d; first %.500q\nwant %q", errors, c.problems, texts(d)[:min(3, len(d.Problems))], c.want)
			}
		})
	}
}

// TestManyProblems holds what is left out of a long list to what it is:
// warnings neither hide an error nor become one.
func TestManyProblems(t *testing.T) {
	app := func(i int, more string) string {
		return fmt.Sprintf(`{"id": "a%d", "cmd": "sleep 1", "version": "v"%s}`, i, more)
	}
	apps := make([]string, maxFileProblems+50)
	for i := range apps {
		apps[i] = app(i, "")
	}
	read := func() Desired {
		text := "[" + strings.Join(apps, ",\n") + "]"
		return NewReader().Read(fstest.MapFS{"a.json": {Data: []byte(text)}}, Options{Scope: "/"})
	}
	tell := func(d Desired) (errors, warnings []string) {
		for _, p := range d.Problems {
			if p.Severity == SeverityError {
				errors = append(errors, p.String())
			} else {
				warnings = append(warnings, p.String())
			}
		}
		return errors, warnings
	}

	d := read()
	errors, warnings := tell(d)
	if len(errors) != 0 || len(warnings) != maxFileProblems+1 || len(d.Items) != len(apps) {
		t.Errorf("of warnings alone came %d errors %q, %d warnings, %d items", len(errors), errors, len(warnings), len(d.Items))
	}
	if want := "a.json:201:34: warning: there are 50 more warnings in this file"; !slices.Contains(warnings, want) {
		t.Errorf("the last warning is %q, want %q", warnings[len(warnings)-1], want)
	}

	last := len(apps) - 1
	apps[last] = app(last, `, "cpu": 1`)
	d = read()
	errors, warnings = tell(d)
	if len(errors) != 1 || !strings.Contains(errors[0], "unknown field cpu") || len(warnings) != maxFileProblems || len(d.Items) != len(apps)-1 {
		t.Errorf("with one error came errors %q, %d warnings, %d items", errors, len(warnings), len(d.Items))
	}

	for i := range apps {
		apps[i] = app(i, `, "cpu": 1`)
	}
	errors, warnings = tell(read())
	if len(errors) != maxFileProblems+1 || len(warnings) != 0 || !strings.Contains(strings.Join(errors, "\n"), "300 more problems") {
		t.Errorf("of errors alone came %d errors, %d warnings; the last is %q", len(errors), len(warnings), errors[len(errors)-1])
	}
}

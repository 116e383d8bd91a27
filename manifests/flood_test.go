package manifests

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/manifests/syntax"
)

// allocated is how many bytes a call allocates in all.
func allocated(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// held is how many bytes of memory what a call returns keeps in use.
func held[T any](call func() T) (T, int64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := call()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return kept, int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// listOf is a list of so many of a text in which %d counts from first.
func listOf(count, first int, format string) string {
	var b strings.Builder
	for i := range count {
		b.WriteString(map[bool]string{true: "[", false: ",\n"}[i == 0])
		if strings.Contains(format, "%d") {
			fmt.Fprintf(&b, format, first+i)
		} else {
			b.WriteString(format)
		}
	}
	return b.String() + "]"
}

// TestProblemsDoNotMultiply: whatever the files, few problems are held and
// listed, all are counted, and each id that has one is broken, so that nothing is
// changed or deleted under it.
func TestProblemsDoNotMultiply(t *testing.T) {
	testenv.Long(t)
	const right = `{"id": "/fine", "cmd": "sleep 1"}`
	for _, c := range []struct {
		name, format string
		files, each  int
		errors       int // at least
		broken       int
		unreadable   int
	}{
		{"the same id", `{"id": "/a", "cmd": "sleep 1"}`, 10, 4_000, 1, 1, 0},
		{"the same id, and wrong", `{"id": "/a", "cmd": 1}`, 10, 4_000, 40_001, 1, 0},
		{"wrong ids", `{"id": "/A%d", "cmd": "sleep 1"}`, 10, 4_000, 40_000, 0, 10},
		{"wrong definitions", `{"id": "/a%d", "cmd": 1}`, 10, 4_000, 40_000, 40_000, 0},
		{"many faults each", `{"id": "/a%d", "args": [1,2,3,4,5,6,7,8], "cpu": 1}`, 10, 1_500, 10 * 1_500 * 9, 15_000, 0},
		{"under an app", `{"id": "/fine/a%d", "cmd": "sleep 1"}`, 10, 4_000, 40_001, 40_001, 0},
		{"warnings and errors", `{"id": "/a%d", "cmd": "sleep 1", "version": "v", "instances": "1"}`, 10, 3_000, 30_000, 30_000, 0},
		{"no definitions", `{}`, 10, 4_000, 10, 0, 10}, // told once a file
		{"each in its file", `[{"id": "/a%d", "cmd": 1}, {"id": "/b", "cpu": 1}]`, 4_000, 1, 8_001, 4_001, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := fstest.MapFS{"fine.json": file(right)}
			for i := range c.files {
				text := listOf(c.each, i*c.each, c.format)
				if c.each == 1 {
					text = fmt.Sprintf(c.format, i)
				}
				files[fmt.Sprintf("f%d.json", i)] = file(text)
			}
			s := newSnapshot(files)
			d, bytes := held(func() Desired { return NewReader().Read(s, Options{}) })
			if len(d.Problems) > maxSourceProblems+1 {
				t.Errorf("%d problems are listed", len(d.Problems))
			}
			if errors, _ := CountProblems(d.Problems); errors < c.errors {
				t.Errorf("%d errors are counted, want at least %d", errors, c.errors)
			}
			if len(d.Broken) != c.broken {
				t.Errorf("%d ids are broken, want %d", len(d.Broken), c.broken)
			}
			for _, item := range d.Items {
				if item.ID != "/fine" {
					t.Fatalf("%s has an error and is applied", item.ID)
				}
			}
			if n := len(d.Unreadable); n != c.unreadable {
				t.Errorf("%d files are unreadable, want %d", n, c.unreadable)
			}
			// What is kept of a definition is about a kilobyte; problems come on top.
			if most := int64(c.files*c.each*600 + 24<<20); bytes > most {
				t.Errorf("%d MiB are held, want at most %d", bytes>>20, most>>20)
			}
		})
	}
}

// TestReadAgainAfterAFlood: what was too much to hold does not stay in the way
// once it is corrected, and a file that was cut short says so.
func TestReadAgainAfterAFlood(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 240 {
		files[fmt.Sprintf("f%03d.json", i)] = file(listOf(200, i*200, `{"id": "/a%d", "cmd": 1}`))
	}
	r := NewReader()
	flood := r.Read(newSnapshot(files), Options{})
	if errors, _ := CountProblems(flood.Problems); errors != 240*200 || len(flood.Items) > 0 {
		t.Fatalf("%d errors, %d items", errors, len(flood.Items))
	}
	for i := range 239 {
		files[fmt.Sprintf("f%03d.json", i)] = app(fmt.Sprintf("/b%d", i), "sleep 1")
	}
	d := r.Read(newSnapshot(files), Options{})
	errors, _ := CountProblems(d.Problems)
	if len(d.Items) != 239 || errors != 200 || len(d.Broken) != 200 {
		t.Errorf("%d items, %d errors, %d broken", len(d.Items), errors, len(d.Broken))
	}
	files["f239.json"] = app("/b239", "sleep 1")
	if diff := cmp.Diff(NewReader().Read(newSnapshot(files), Options{}), r.Read(newSnapshot(files), Options{})); diff != "" {
		t.Error(diff)
	}
}

// TestCountsStayTrue: what is not listed is counted, by severity.
func TestCountsStayTrue(t *testing.T) {
	files := fstest.MapFS{
		"errors.json":   file(listOf(2_000, 0, `{"id": "/a%d", "cmd": 1}`)),
		"warnings.json": file(listOf(2_000, 0, `{"id": "/w%d", "cmd": "sleep 1", "version": "v"}`)),
	}
	d := NewReader().Read(files, Options{})
	errors, warnings := CountProblems(d.Problems)
	if errors+warnings != 4_000 || errors < 2_000 {
		t.Errorf("%d errors and %d warnings, want 2,000 each", errors, warnings)
	}
	if !slices.ContainsFunc(texts(d), func(s string) bool {
		return strings.HasPrefix(s, "errors.json:201:17: there are 1800 more problems in this file: correct those above first")
	}) {
		t.Errorf("problems %q", texts(d)[195:205])
	}
	if len(d.Items) != 2_000 {
		t.Errorf("%d items, want those with warnings", len(d.Items))
	}
}

// TestLongTexts: neither a message nor a path is as long as what it quotes.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat(`\u0001x`, 100_000)
	for name, text := range map[string]string{
		"constraint": `{"id": "/a", "cmd": "sleep 1", "constraints": [["a", "LIKE", "(` + long + `"], ["` + long + `", "NONE"]]}`,
		"role":       `{"id": "/g/a", "cmd": "sleep 1", "role": "` + long + `"}`,
		"network":    `{"id": "/a", "cmd": "sleep 1", "networks": [{"mode": "container", "name": "` + long + `"}], "container": {"portMappings": [{"networkNames": ["` + long + `y"]}]}}`,
		"label":      `{"id": "/a", "cmd": "sleep 1", "labels": {"` + long + `": 1}}`,
	} {
		d := NewReader().Read(oneFile("a.json", text), Options{})
		if len(d.Problems) == 0 {
			t.Errorf("%s: no problem", name)
		}
		for _, p := range d.Problems {
			if len(p.Message) > maxMessage+3 || len(p.Path) > maxMessage+3 {
				t.Errorf("%s: a message of %d bytes, a path of %d", name, len(p.Message), len(p.Path))
			}
		}
	}
}

// TestSourceOfTooManyDefinitions: no part of it is used, as of one of too many
// files.
func TestSourceOfTooManyDefinitions(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 30 {
		files[fmt.Sprintf("d%d/a.json", i)] = file(listOf(100, i*100, `{"id": "/a%d", "cmd": "sleep 1"}`))
	}
	r := NewReader()
	limits := Limits{TotalDefinitions: 3_000}
	if d := r.Read(newSnapshot(files), Options{Limits: limits}); len(d.Items) != 3_000 || len(d.Problems) > 0 {
		t.Fatalf("%d items, problems %q", len(d.Items), texts(d))
	}
	files["d7/b.json"] = app("/b", "sleep 1")
	d := r.Read(newSnapshot(files), Options{Limits: limits})
	want := []string{".: has more than 3000 apps, pods and groups: nothing of it is used; split it into several syncs, or leave out files by .pacerignore"}
	if diff := cmp.Diff(want, texts(d)); diff != "" || len(d.Items) > 0 || len(d.Unreadable) != 1 {
		t.Errorf("%d items, unreadable %q\n%s", len(d.Items), d.Unreadable, diff)
	}
	delete(files, "d7/b.json")
	if d := r.Read(newSnapshot(files), Options{Limits: limits}); len(d.Items) != 3_000 {
		t.Errorf("%d items after it was taken out again", len(d.Items))
	}

	one := oneFile("a.json", listOf(11, 0, `{"id": "/a%d", "cmd": "sleep 1"}`))
	d = NewReader().Read(one, Options{Limits: Limits{Definitions: 10}})
	if want := []string{"a.json:11:6: the file has more than 10 apps, pods and groups: split it into several files"}; !slices.Equal(want, texts(d)) || len(d.Items) > 0 || len(d.Unreadable) != 1 {
		t.Errorf("%q, %d items, unreadable %q", texts(d), len(d.Items), d.Unreadable)
	}
}

// TestSourceOfTooManyValues: files that are each within their bounds are not so
// together. No more is read than shows that.
func TestSourceOfTooManyValues(t *testing.T) {
	files := fstest.MapFS{}
	env := upTo(480, `{"id": "/a", "cmd": "sleep 1", "env": {`, `"K%d":"",`, `"z": ""}},`)
	many := file("[" + strings.Repeat(env, 95) + `{"id": "/b", "cmd": "sleep 1"}]`)
	for i := range 128 {
		files[fmt.Sprintf("d%d/a%d.json", i%8, i)] = many
	}
	s := newSnapshot(files)
	s.opened = nil
	var d Desired
	spent := allocated(func() { d = NewReader().Read(s, Options{}) })
	want := []string{".: has more than 1500000 keys and values: nothing of it is used; split it into several syncs, or leave out files by .pacerignore"}
	if diff := cmp.Diff(want, texts(d)); diff != "" || len(d.Items) > 0 || !slices.Equal(d.Unreadable, []string{"."}) {
		t.Errorf("%d items, unreadable %q\n%s", len(d.Items), d.Unreadable, diff)
	}
	read := 0
	for _, name := range s.opened {
		if strings.HasSuffix(name, ".json") {
			read++
		}
	}
	// 1,500,000 of 91,700 each are 17; some are read before the others are understood.
	if read > 21 || spent > 420<<20 {
		t.Errorf("read %d files and allocated %d MiB", read, spent>>20)
	}
}

// TestTotalValues: values count in each format, and whether a file is read or
// remembered.
func TestTotalValues(t *testing.T) {
	const in, each = 20, 5 // the app, its two keys and their values
	files := fstest.MapFS{}
	for i := range in {
		files[fmt.Sprintf("d%d/a.json", i)] = app(fmt.Sprintf("/a%d", i), "sleep 1")
	}
	within := Options{Limits: Limits{TotalValues: in * each}}
	r := NewReader()
	for _, more := range []fstest.MapFS{
		{"d7/b.json": app("/b", "sleep 1")},
		{"d7/b.yaml": file("id: /b\ncmd: sleep 1\n")},
		{"e/b.yaml": file("id: /b\ncmd: sleep 1\n")},
	} {
		d := r.Read(newSnapshot(files), within)
		if len(d.Items) != in || len(d.Problems) > 0 {
			t.Fatalf("%d items, problems %q", len(d.Items), texts(d))
		}
		for name, f := range more {
			files[name] = f
		}
		d = r.Read(newSnapshot(files), within)
		if len(d.Items) > 0 || len(d.Unreadable) != 1 || len(d.Problems) != 1 || !strings.HasPrefix(texts(d)[0], fmt.Sprintf(".: has more than %d keys and values", in*each)) {
			t.Errorf("%d items, unreadable %q, problems %q", len(d.Items), d.Unreadable, texts(d))
		}
		for name := range more {
			delete(files, name)
		}
	}
}

// TestTenThousandRealisticApps: they keep clear of the bound of a source.
func TestTenThousandRealisticApps(t *testing.T) {
	_, apps := realisticApps(t, 1)
	text, err := json.Marshal(apps[0])
	if err != nil {
		t.Fatal(err)
	}
	limits := Limits{}.withDefaults()
	if _, values, faults, _ := syntax.JSON(text, limits.ofFile()); len(faults) > 0 || values*10_000*5/4 > limits.TotalValues {
		t.Errorf("%d keys and values each: 10,000 are too near to %d", values, limits.TotalValues)
	}
}

// TestExpressionsOverManyApps: to look at the expressions of constraints costs
// less than to read them, whatever they have, in one app or in many.
func TestExpressionsOverManyApps(t *testing.T) {
	for name, part := range map[string]string{
		"a class of Unicode, counted": `\\pL{9%d}`, "classes": `[^\\pN%d]`, "folded": `(?i)%d[a-z]`, "groups": `(a|b|%d)*`,
	} {
		read := func(expression string) uint64 {
			constraint := `["hostname", "LIKE", "` + expression + `"],`
			var b strings.Builder
			for i := range 1_500 {
				fmt.Fprintf(&b, `{"id": "/a%d", "cmd": "sleep 1", "constraints": [%s["rack", "UNIQUE"]]},`, i, strings.Repeat(strings.ReplaceAll(constraint, "%d", itoa(i%90+10)), 8))
			}
			fsys := oneFile("a.json", "["+strings.TrimSuffix(b.String(), ",")+"]")
			var d Desired
			spent := allocated(func() { d = NewReader().Read(fsys, Options{}) })
			if len(d.Items) != 1_500 {
				t.Fatalf("%s: %d items, problems %.300q", name, len(d.Items), texts(d))
			}
			return spent
		}
		if plain, spent := read("abcd%dabcd"), read(part); spent > 2*plain {
			t.Errorf("%s: allocated %d MiB, and %d MiB for text of its length", name, spent>>20, plain>>20)
		}
	}
}

// TestEqualIDsAreNotKept: of thousands of definitions of an id in a file only what
// is told is remembered, and all are counted.
func TestEqualIDsAreNotKept(t *testing.T) {
	for name, text := range map[string]string{
		"f%d.yaml": strings.Repeat("id: /shop/a\ncmd: sleep 1\n---\nid: /shop//a/\ncmd: sleep 1\n---\n", 185),
		"f%d.json": listOf(370, 0, `{"id": "/shop/a", "cmd": "sleep 1"}`),
	} {
		files := fstest.MapFS{}
		for i := range 60 {
			files[fmt.Sprintf(name, i)] = file(text)
		}
		s, r := newSnapshot(files), NewReader()
		d, bytes := held(func() Desired { return r.Read(s, Options{}) })
		if len(d.Problems) != 1 || !strings.Contains(texts(d)[0], "/shop/a: the id is defined 22200 times: also as an app at ") || len(d.Items) > 0 || !d.Broken["/shop/a"] {
			t.Errorf("%d items, problems %.300q", len(d.Items), texts(d))
		}
		if bytes > 6<<20 {
			t.Errorf("%s: %d MiB are held", name, bytes>>20)
		}
		runtime.KeepAlive(r)
	}
}

// TestSourceOfLongTextsForShortOnes: what ids, dependencies and ${…} stand for
// counts for a source too, or a few letters in each of many files are gigabytes.
func TestSourceOfLongTextsForShortOnes(t *testing.T) {
	for name, text := range map[string]string{
		"dependencies": `{"id": "` + strings.Repeat("/abcdefghi", 98) + `", "apps": [` + inApp(upTo(1_000, `"dependencies": [`, `"%d",`, `"z"]`)) + "]}",
		"substitution": `{"id": "/a", "args": ["` + strings.Repeat("${A}", 30) + `"]}`,
	} {
		files := fstest.MapFS{}
		for i := range 4 {
			files[fmt.Sprintf("a%d.json", i)] = file(strings.Replace(text, `"/a"`, fmt.Sprintf(`"a%d"`, i), 1))
		}
		o := Options{Substitute: map[string]string{"A": strings.Repeat("a", 30_000)}, Limits: Limits{TotalValues: 30_000}}
		if d := NewReader().Read(newSnapshot(files), o); len(d.Items) > 0 || len(d.Unreadable) != 1 || !strings.HasPrefix(texts(d)[0], ".: has more than 30000 keys and values") {
			t.Errorf("%s: %d items, problems %.300q", name, len(d.Items), texts(d))
		}
	}
}

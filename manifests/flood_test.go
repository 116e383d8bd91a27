package manifests

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
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

package manifests

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// sideBySide has several do the work.
func sideBySide(n int, do func(int)) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range max(runtime.GOMAXPROCS(0), 2) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

func backwards(n int, do func(int)) {
	for i := range n {
		do(n - 1 - i)
	}
}

// goldenFiles are all manifests of testdata, right and wrong.
func goldenFiles(t *testing.T) fstest.MapFS {
	files := fstest.MapFS{}
	archives, err := filepath.Glob("testdata/read/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.Files {
			files[path.Join(filepath.Base(name), f.Name)] = &fstest.MapFile{Data: f.Data}
		}
	}
	for _, folder := range []string{"../testdata/guide", "testdata/fuzz"} {
		err := fs.WalkDir(os.DirFS(folder), ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			data, err := fs.ReadFile(os.DirFS(folder), name)
			if path.Ext(name) == "" {
				name += ".yaml"
			}
			files[path.Join("guide", name)] = &fstest.MapFile{Data: data}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestOrderOfReadingChangesNothing: files are understood in any order, and side
// by side, to the same.
func TestOrderOfReadingChangesNothing(t *testing.T) {
	testenv.Long(t)
	large := fstest.MapFS{} // more than is held at a time
	for i := range 2 * mostUnparsed >> 20 {
		large[fmt.Sprintf("f%d.json", i)] = file(fmt.Sprintf(`{"id": "a%d", "cmd": "sleep 1"%s}`, i, strings.Repeat(" ", 1<<20-100)))
	}
	thousands := tenThousand(benchJSON, "json")
	for _, c := range []struct {
		name   string
		files  fstest.MapFS
		o      Options
		wanted int // items
	}{
		{"golden files", goldenFiles(t), Options{Scope: "/demo", Substitute: map[string]string{"ENV": "prod"}}, 1},
		{"10,000 files", thousands, Options{}, 10_000},
		{"large files", large, Options{}, 16},
		{"too many files", thousands, Options{Limits: Limits{Files: 9_999}}, 0},
		{"too many bytes", large, Options{Limits: Limits{TotalBytes: 9 << 20}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := NewReader().Read(newSnapshot(c.files), c.o)
			if len(want.Items) < c.wanted || len(want.Items) == 0 != (c.wanted == 0) {
				t.Fatalf("%d items: %q", len(want.Items), texts(want)[:min(len(want.Problems), 3)])
			}
			for _, each := range []func(int, func(int)){sideBySide, backwards} {
				c.o.Each = each
				if got := NewReader().Read(newSnapshot(c.files), c.o); !reflect.DeepEqual(want, got) {
					t.Error(cmp.Diff(want, got))
				}
			}
		})
	}
}

// TestEachIsNoOtherReading: a reader that is given another way to work does not
// read anew what it knows.
func TestEachIsNoOtherReading(t *testing.T) {
	files := fstest.MapFS{"a/1.json": app("/a1", "sleep 1"), "a/2.json": app("/a2", "sleep 1")}
	r := NewReader()
	r.Read(newSnapshot(files), Options{})
	for _, each := range []func(int, func(int)){sideBySide, nil, backwards} {
		s := newSnapshot(files)
		r.Read(s, Options{Each: each})
		if want := []string{"./"}; !slices.Equal(want, s.opened) {
			t.Errorf("opened %q, want %q", s.opened, want)
		}
	}
}

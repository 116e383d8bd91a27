package manifests

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// snapshot is a file tree whose entries know their content, as those of package
// sources do. It counts what is opened.
type snapshot struct {
	fstest.MapFS
	entries map[string][]fs.DirEntry
	fail    map[string]bool // files that cannot be opened
	refused []struct{ Name, Reason string }
	opened  []string
}

type idEntry struct {
	fs.DirEntry
	id string
}

func (e idEntry) ContentID() string { return e.id }

func newSnapshot(files fstest.MapFS) *snapshot {
	s := &snapshot{MapFS: files, entries: map[string][]fs.DirEntry{}, fail: map[string]bool{}}
	s.index(".")
	return s
}

// index computes the content ids of a folder, and of all in it, as git does.
func (s *snapshot) index(folder string) string {
	entries, err := s.MapFS.ReadDir(folder)
	if err != nil {
		panic(err)
	}
	all := sha256.New()
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		id := ""
		if e.IsDir() {
			id = s.index(name)
		} else {
			id = fmt.Sprintf("%x", sha256.Sum256(s.MapFS[name].Data))
		}
		fmt.Fprintf(all, "%s %q\n", id, e.Name())
		s.entries[folder] = append(s.entries[folder], idEntry{e, id})
	}
	return fmt.Sprintf("%x", all.Sum(nil))
}

func (s *snapshot) ReadDir(name string) ([]fs.DirEntry, error) {
	s.opened = append(s.opened, name+"/")
	if s.fail[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("disk on fire")}
	}
	return s.entries[name], nil
}

func (s *snapshot) Open(name string) (fs.File, error) {
	s.opened = append(s.opened, name)
	if s.fail[name] {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("disk on fire")}
	}
	return s.MapFS.Open(name)
}

func (s *snapshot) Refused() []struct{ Name, Reason string } { return s.refused }

func file(content string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(content)} }

func app(id, cmd string) *fstest.MapFile { return file(fmt.Sprintf(`{"id": %q, "cmd": %q}`, id, cmd)) }

func TestReaderReadsOnlyWhatChanged(t *testing.T) {
	files := fstest.MapFS{"a/1.json": app("/a1", "sleep 1"), "a/2.json": app("/a2", "sleep 1"), "b/c/3.json": app("/b3", "sleep 1"), "b/.pacerignore": file("x\n")}
	r := NewReader()
	r.Read(newSnapshot(files), Options{})

	changed := maps.Clone(files)
	changed["a/2.json"] = app("/a2", "sleep 2")
	s := newSnapshot(changed)
	d := r.Read(s, Options{})
	if want := []string{"./", "a/", "a/2.json"}; !slices.Equal(want, s.opened) {
		t.Errorf("opened %q, want %q", s.opened, want)
	}
	if diff := cmp.Diff(NewReader().Read(newSnapshot(changed), Options{}), d); diff != "" {
		t.Error(diff)
	}

	// Rules from above reach into folders whose own content is the same.
	changed[".pacerignore"] = file("3.json\n")
	if got := ids(r.Read(newSnapshot(changed), Options{})); !slices.Equal(got, []string{"/a1", "/a2"}) {
		t.Errorf("with an ignore file: %q", got)
	}
	delete(changed, ".pacerignore")
	if got := ids(r.Read(newSnapshot(changed), Options{})); len(got) != 3 {
		t.Errorf("without it: %q", got)
	}
}

// TestReaderHoldsWhatFilesSay: not their blanks, for as long as it is used.
func TestReaderHoldsWhatFilesSay(t *testing.T) {
	const count, most = 32, 8 << 20
	files := fstest.MapFS{}
	for i := range count {
		files[fmt.Sprintf("%02d.json", i)] = file(fmt.Sprintf(`{"id": "/a%d", "env": {"A": "b"},%s"cmd": "sleep 1"}`, i, strings.Repeat(" ", 1<<20-100)))
	}
	s, r := newSnapshot(files), NewReader()
	before := heap()
	d := r.Read(s, Options{})
	held := heap() - before
	if len(d.Items) != count || held > most {
		t.Errorf("%d items, %d bytes are held: more than %d", len(d.Items), held, most)
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(s)
}

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestReaderForgetsWhatItCouldNotRead: a failure is never remembered as content.
func TestReaderForgetsWhatItCouldNotRead(t *testing.T) {
	files := fstest.MapFS{"a/b/1.json": app("/a1", "sleep 1"), "a/b/c/2.json": app("/a2", "sleep 1"), "d/.pacerignore": file("x\n"), "d/3.json": app("/d3", "sleep 1")}
	for _, name := range []string{"a/b/1.json", "a/b/c", "d/.pacerignore", "."} {
		r := NewReader()
		s := newSnapshot(files)
		s.fail[name] = true
		d := r.Read(s, Options{})
		if !slices.Equal(d.Unreadable, []string{name}) || !strings.HasSuffix(d.Problems[0].Message, "cannot be read: disk on fire") {
			t.Errorf("%s: unreadable %q, problems %q", name, d.Unreadable, texts(d))
		}
		d = r.Read(newSnapshot(files), Options{})
		if len(d.Items) != 3 || len(d.Unreadable) > 0 {
			t.Errorf("%s readable again: items %q, unreadable %q", name, ids(d), d.Unreadable)
		}
	}
}

// TestReaderOptions: what was read with other options is not used.
func TestReaderOptions(t *testing.T) {
	files := fstest.MapFS{"a/x.json": app("x${N}", "sleep 1"), "b/y.json": app("y", "sleep 1")}
	r := NewReader()
	one := map[string]string{"N": "1"}
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{Substitute: one}, []string{"/x1", "/y"}},
		{Options{Substitute: map[string]string{"N": "2"}}, []string{"/x2", "/y"}},
		{Options{Substitute: one, Scope: "g"}, []string{"/g/x1", "/g/y"}},
		{Options{Substitute: one, Path: "a"}, []string{"/x1"}},
		{Options{Substitute: one, Path: "a", Limits: Limits{FileBytes: 10}}, []string{}},
	} {
		if got := ids(r.Read(newSnapshot(files), c.o)); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.o, got, c.want)
		}
	}
	one["N"] = "3" // the caller's map is the caller's
	if got := ids(r.Read(newSnapshot(files), Options{Substitute: one})); !slices.Equal(got, []string{"/x3", "/y"}) {
		t.Errorf("after a change in place: %q", got)
	}
}

func TestRefused(t *testing.T) {
	s := newSnapshot(fstest.MapFS{"in/a.json": app("a", "sleep 1"), "in/.pacerignore": file("skip*\n"), "in/sub/.pacerignore": file("l*\n")})
	for _, name := range []string{"in/link.yaml", "in/module", "in/LICENSE.txt", "out/link.yaml", "in/skipped.json", "in/sub/link.json", "in/.git/x.json", "in/new/link.json"} {
		s.refused = append(s.refused, struct{ Name, Reason string }{name, "is a symlink: not read"})
	}
	d := NewReader().Read(s, Options{Path: "in"})
	want := []string{
		"in/link.yaml: is a symlink: not read",
		"in/module: warning: is a symlink: not read; nothing is deleted while it may hide manifests: list it in .pacerignore if it does not",
		"in/new/link.json: is a symlink: not read",
	}
	if diff := cmp.Diff(want, texts(d)); diff != "" {
		t.Error(diff)
	}
	if want := []string{"in/link.yaml", "in/module", "in/new/link.json"}; !slices.Equal(want, d.Unreadable) {
		t.Errorf("unreadable %q", d.Unreadable)
	}
	if got := ids(d); !slices.Equal(got, []string{"/a"}) {
		t.Errorf("items %q", got)
	}
}

// someFiles draws files of apps with some shared ids and dependencies, and some
// that are damaged.
func someFiles(t *rapid.T) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range rapid.IntRange(1, 6).Draw(t, "files") {
		folder := rapid.SampledFrom([]string{"", "a/", "b/c/"}).Draw(t, "folder")
		var list []string
		for range rapid.IntRange(0, 3).Draw(t, "apps") {
			id := rapid.SampledFrom([]string{"p", "q", "r", "s/t", "s/u", "s"}).Draw(t, "id")
			on := rapid.SampledFrom([]string{"p", "q", "s", "none"}).Draw(t, "on")
			list = append(list, fmt.Sprintf(`{"id": %q, "cmd": "sleep 1", "dependencies": [%q]}`, id, on))
		}
		content := "[" + strings.Join(list, ", ") + "]"
		if rapid.IntRange(0, 4).Draw(t, "damage") == 0 {
			content = content[:len(content)/2]
		}
		files[fmt.Sprintf("%s%d.json", folder, i)] = file(content)
	}
	return files
}

// TestReaderIsAFunctionOfTheFiles: neither what a Reader saw before nor the
// names of the files change what is desired.
func TestReaderIsAFunctionOfTheFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := someFiles(t)
		want := NewReader().Read(newSnapshot(files), Options{})
		r := NewReader()
		r.Read(newSnapshot(someFiles(t)), Options{})
		if diff := cmp.Diff(want, r.Read(newSnapshot(files), Options{})); diff != "" {
			t.Fatal("memory: " + diff)
		}
		if diff := cmp.Diff(want, NewReader().Read(files, Options{})); diff != "" {
			t.Fatal("without content ids: " + diff)
		}
		renamed := fstest.MapFS{}
		names := rapid.Permutation(slices.Sorted(maps.Keys(files))).Draw(t, "names")
		for i, name := range slices.Sorted(maps.Keys(files)) {
			renamed["x"+names[i]] = files[name]
		}
		got := NewReader().Read(renamed, Options{})
		if diff := cmp.Diff(ids(want), ids(got)); diff != "" {
			t.Fatal("order: " + diff)
		}
		if diff := cmp.Diff(want.Broken, got.Broken); diff != "" {
			t.Fatal("order: " + diff)
		}
	})
}

// TestBadFileLeavesOthersAlone: whatever stands in a file that shares no id with
// the others, what those say stays the same.
func TestBadFileLeavesOthersAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := someFiles(t)
		want := NewReader().Read(files, Options{})
		bad := maps.Clone(files)
		name := rapid.SampledFrom([]string{"bad.json", "a/0.yaml", "b/zz.yml"}).Draw(t, "name")
		bad[name] = file(rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"{", "[1]", "id: x\n y", "a: &a\nb: *a", "id: zz\ncmd: [", `{"id":"zz"}`})).Draw(t, "content"))
		got := NewReader().Read(bad, Options{})
		got.Items = slices.DeleteFunc(got.Items, func(i Item) bool { return i.File == name })
		got.Problems = slices.DeleteFunc(got.Problems, func(p Problem) bool { return p.File == name })
		want.Problems = slices.DeleteFunc(want.Problems, func(p Problem) bool { return p.File == "." }) // nothing there
		if diff := cmp.Diff(want.Items, got.Items); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(texts(want), texts(got)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// tenThousand is a source of 10,000 manifests in 100 folders.
func tenThousand(format, extension string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range 10_000 {
		files[fmt.Sprintf("team%d/app%d.%s", i%100, i, extension)] = file(fmt.Sprintf(format, i%100, i, i))
	}
	return files
}

const (
	benchJSON = `{
  "id": "/team%d/app%d", "cmd": "sleep 1000", "cpus": 0.1, "mem": 64, "instances": 2,
  "env": {"LEVEL": "info", "NUMBER": "%d"}, "labels": {"team": "shop"},
  "networks": [{"mode": "container/bridge"}],
  "container": {"type": "DOCKER", "docker": {"image": "nginx:1.27"}, "portMappings": [{"containerPort": 80, "name": "http"}]},
  "healthChecks": [{"protocol": "MESOS_HTTP", "path": "/", "portIndex": 0, "gracePeriodSeconds": 30, "intervalSeconds": 10}]
}
`
	benchYAML = `id: /team%d/app%d
cmd: sleep 1000
cpus: 0.1
mem: 64
instances: 2
env: {LEVEL: info, NUMBER: "%d"}
labels:
  team: shop
networks:
  - mode: container/bridge
container:
  type: DOCKER
  docker:
    image: nginx:1.27
  portMappings:
    - containerPort: 80
      name: http
healthChecks:
  - protocol: MESOS_HTTP
    path: /
    portIndex: 0
    gracePeriodSeconds: 30
    intervalSeconds: 10
`
)

// TestReadingAllocatesLittle: reading thousands of files costs as much as it
// allocates. The bounds are about half as much again as it takes.
func TestReadingAllocatesLittle(t *testing.T) {
	for _, c := range []struct {
		name, format string
		most         float64
	}{{"a.json", benchJSON, 140}, {"a.yaml", benchYAML, 600}} {
		data := fmt.Appendf(nil, c.format, 1, 2, 3)
		o := Options{}.settled()
		n := testing.AllocsPerRun(100, func() {
			var r fileResult
			if readFile(&r, c.name, data, &o); len(r.problems.kept) > 0 {
				t.Fatal(r.problems.kept)
			}
		})
		if n > c.most {
			t.Errorf("%s: %v allocations, want at most %v", c.name, n, c.most)
		}
	}
}

func BenchmarkReadCold10k(b *testing.B) {
	for _, c := range []struct{ name, format, extension string }{
		{"json", benchJSON, "json"}, {"yaml", benchYAML, "yaml"}, {"json-side-by-side", benchJSON, "json"}, {"yaml-side-by-side", benchYAML, "yaml"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := newSnapshot(tenThousand(c.format, c.extension))
			o := Options{}
			if c.name != c.extension {
				o.Each = sideBySide
			}
			b.ReportAllocs()
			for b.Loop() {
				if d := NewReader().Read(s, o); len(d.Items) != 10_000 {
					b.Fatal(len(d.Items), d.Problems[:1])
				}
			}
		})
	}
}

func BenchmarkReadOneChanged10k(b *testing.B) {
	files := tenThousand(benchJSON, "json")
	before := newSnapshot(files)
	changed := maps.Clone(files)
	changed["team7/app7.json"] = file(fmt.Sprintf(benchJSON, 7, 7, 8))
	after := newSnapshot(changed)
	r := NewReader()
	r.Read(before, Options{})
	b.ReportAllocs()
	for next := after; b.Loop(); {
		if d := r.Read(next, Options{}); len(d.Items) != 10_000 {
			b.Fatal(len(d.Items))
		}
		if next == after {
			next = before
		} else {
			next = after
		}
	}
}

// What did not change is neither gathered nor ordered again, and a file that
// came, went or changed is not missed.
func TestWhatDidNotChangeIsNotGatheredAgain(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 1000 {
		files[fmt.Sprintf("g%d/app%d.json", i%10, i)] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"id": "/g/app%d", "cmd": "x"}`, i)}
	}
	files["top.json"] = &fstest.MapFile{Data: []byte(`{"id": "/top", "cmd": "x"}`)}
	r, s := NewReader(), newSnapshot(files)
	r.Read(s, Options{})
	if n := testing.AllocsPerRun(5, func() { r.Read(s, Options{}) }); n > 200 {
		t.Errorf("%.0f allocations to read 1,000 files that are the same", n)
	}
	for _, change := range []func(){
		func() { files["top.json"].Data = []byte(`{"id": "/top", "cmd": "y"}`) },
		func() { delete(files, "g3/app3.json") },
		func() { files["new.yaml"] = &fstest.MapFile{Data: []byte("id: /new\ncmd: x\n")} },
		func() { files["g4/app4.json"].Data = []byte("{") },
		func() { delete(files, "top.json") },
	} {
		change()
		s := newSnapshot(files)
		got, want := r.Read(s, Options{}), NewReader().Read(s, Options{})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("not as it is read afresh (-want +got):\n%s", diff)
		}
	}
	linked := newSnapshot(files) // the same but for a link
	linked.refused = []struct{ Name, Reason string }{{"link.json", "is a symlink: not read"}}
	if got := r.Read(linked, Options{}); !slices.Contains(got.Unreadable, "link.json") {
		t.Errorf("what is refused anew is missed: %v", got.Unreadable)
	}
}

package executor

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// stuck is a server that begins an answer and never ends it.
type stuck struct {
	url   string
	asked chan struct{}
}

func stuckServer(t *testing.T) stuck {
	s := stuck{asked: make(chan struct{}, 1)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		s.asked <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

type entry struct {
	name, content, link string
	kind                byte // of tar
	mode                int64
}

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Size: int64(len(e.content)), Typeflag: e.kind, Linkname: e.link, Mode: e.mode}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(fs.FileMode(e.mode) | 0o600)
		if e.link != "" {
			h.SetMode(fs.ModeSymlink | 0o777)
			e.content = e.link
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// by compresses by the program that users compress with.
func by(t *testing.T, program string, data []byte) []byte {
	t.Helper()
	cmd := exec.Command(testenv.Program(t, program), "-c")
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return out
}

func serve(t *testing.T, files map[string][]byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestFetchBringsAndExtracts(t *testing.T) {
	archive := tarOf(t,
		entry{name: "app/", kind: tar.TypeDir, mode: 0o755},
		entry{name: "./app/run", content: "#!/bin/sh\necho ran\n", mode: 0o755},
		entry{name: "app/same", kind: tar.TypeSymlink, link: "run"},
		entry{name: "app/hard", kind: tar.TypeLink, link: "app/run"})
	url := serve(t, map[string][]byte{
		"/a.tar": archive, "/a.tar.gz": gzipOf(t, archive), "/a.tgz": gzipOf(t, archive),
		"/a.tar.bz2": by(t, "bzip2", archive), "/a.tbz2": by(t, "bzip2", archive),
		"/a.tar.xz": by(t, "xz", archive), "/a.txz": by(t, "xz", archive),
		"/a.zip":       zipOf(t, entry{name: "app/run", content: "#!/bin/sh\necho ran\n", mode: 0o755}, entry{name: "app/same", link: "run"}),
		"/run.gz":      gzipOf(t, []byte("echo ran\n")),
		"/run":         []byte("#!/bin/sh\necho ran\n"),
		"/wrong.zip":   []byte("echo ran\n"),
		"/dir/config?": []byte("echo ran\n"),
	})
	file := filepath.Join(reachable(t), "a b.sh")
	if err := os.WriteFile(file, []byte("echo ran\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		fetch Fetch
		cmd   string
	}{
		"query":         {Fetch{URI: url + "/a.tgz?token=x", Extract: true}, "app/run"},
		"gz":            {Fetch{URI: url + "/run.gz", Extract: true}, "sh run"},
		"executable":    {Fetch{URI: url + "/run", Executable: true}, "./run"},
		"not extracted": {Fetch{URI: url + "/wrong.zip"}, "sh wrong.zip"},
		"not an archive, though extract": {
			Fetch{URI: url + "/run", Extract: true}, "sh run"},
		"destPath":              {Fetch{URI: url + "/a.zip", Extract: true, DestPath: "deep/er/a.zip"}, "test -f deep/er/a.zip && app/run"},
		"file":                  {Fetch{URI: "file://" + strings.ReplaceAll(file, " ", "%20")}, "sh 'a b.sh'"},
		"path":                  {Fetch{URI: file, DestPath: "run"}, "sh run"},
		"executable, no unpack": {Fetch{URI: url + "/a.zip", Extract: true, Executable: true}, "test ! -e app && test -x a.zip && echo ran"},
	}
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tgz", "a.tar.bz2", "a.tbz2", "a.tar.xz", "a.txz", "a.zip"} {
		tests[name] = struct {
			fetch Fetch
			cmd   string
		}{Fetch{URI: url + "/" + name, Extract: true}, "app/run && app/same >/dev/null"}
	}
	w := open(t, Options{KeepPerApp: 100})
	for name, tt := range tests {
		w.launch(Task{ID: name, Cmd: tt.cmd, Fetch: []Fetch{tt.fetch}})
		if end := w.awaitEnd(name); end.State != Finished {
			t.Errorf("%s: %s %s\n%s", name, end.State, end.Message, w.read(name, "stderr"))
		} else if out := w.read(name, "stdout"); out != "ran\n" {
			t.Errorf("%s: %q", name, out)
		}
	}
}

func TestFetchFailsClearly(t *testing.T) {
	testenv.Program(t, "xz") // else its error is another one
	outside := reachable(t)
	bomb := gzipOf(t, make([]byte, 2<<20))
	evil := map[string][]byte{
		"/up.tar":       tarOf(t, entry{name: "../evil", content: "x"}),
		"/absolute.tar": tarOf(t, entry{name: outside + "/evil", content: "x"}),
		"/link.tar":     tarOf(t, entry{name: "out", kind: tar.TypeSymlink, link: outside}, entry{name: "out/evil", content: "x"}),
		"/uplink.tar":   tarOf(t, entry{name: "a/out", kind: tar.TypeSymlink, link: "../../x"}),
		"/hard.tar":     tarOf(t, entry{name: "evil", kind: tar.TypeLink, link: "../../../owner"}),
		"/device.tar":   tarOf(t, entry{name: "null", kind: tar.TypeChar}),
		"/up.zip":       zipOf(t, entry{name: "../evil", content: "x"}),
		"/link.zip":     zipOf(t, entry{name: "out", link: outside}, entry{name: "out/evil", content: "x"}),
		"/chain.tar": tarOf(t, entry{name: "a", kind: tar.TypeSymlink, link: "."}, entry{name: "a/b", kind: tar.TypeSymlink, link: ".."},
			entry{name: "b/evil", content: "x"}),
		"/broken.tgz": []byte("no archive"), "/broken.txz": []byte("no archive"), "/cut.tar": tarOf(t, entry{name: "a", content: "abc"})[:514],
		"/bomb.gz": bomb,
	}
	url := serve(t, evil)
	tests := map[string]struct {
		fetch Fetch
		want  string
	}{
		"missing":      {Fetch{URI: url + "/none"}, "Failed to fetch '" + url + "/none': the server answered 404 Not Found"},
		"no server":    {Fetch{URI: "http://127.0.0.1:1/x"}, "connection refused"},
		"no file":      {Fetch{URI: "file:///no/such"}, "no such file or directory"},
		"a folder":     {Fetch{URI: "file:///tmp"}, "not a regular file"},
		"scheme":       {Fetch{URI: "hdfs://x/y"}, "scheme 'hdfs' is not supported"},
		"relative":     {Fetch{URI: "x.tgz"}, "neither a URI nor an absolute path"},
		"malformed":    {Fetch{URI: "http://[::bad/tok"}, "not a URI"},
		"nameless":     {Fetch{URI: url + "/"}, "names no file"},
		"stdout":       {Fetch{URI: url + "/stdout"}, "has a file stdout already"},
		"destPath up":  {Fetch{URI: url + "/up.tar", DestPath: "../evil"}, "leads out of the sandbox"},
		"destPath abs": {Fetch{URI: url + "/up.tar", DestPath: outside + "/evil"}, "leads out of the sandbox"},
		"secret":       {Fetch{URI: strings.Replace(url, "://", "://me:CANARY@", 1) + "/none?token=CANARY"}, "404"},
	}
	for name := range evil {
		want := "leads out of the sandbox"
		switch name {
		case "/device.tar":
			want = "neither a file nor a folder nor a link"
		case "/broken.tgz", "/broken.txz", "/cut.tar":
			want = "failed to extract"
		case "/chain.tar": // each link is harmless by its words
			want = "path escapes"
		case "/bomb.gz":
			want = "more than 1048576 bytes"
		}
		tests[name] = struct {
			fetch Fetch
			want  string
		}{Fetch{URI: url + name, Extract: true}, want}
	}
	w := open(t, Options{FetchLimit: 1 << 20})
	for name, tt := range tests {
		id := strings.NewReplacer("/", "", " ", "-").Replace(name)
		w.launch(Task{ID: id, Cmd: "true", Fetch: []Fetch{tt.fetch}})
		end := w.awaitEnd(id)
		if end.State != Failed || !strings.HasPrefix(end.Message, "Failed to fetch ") || !strings.Contains(end.Message, tt.want) {
			t.Errorf("%s: %s %q, want %q", name, end.State, end.Message, tt.want)
		}
		if strings.Contains(end.Message, "CANARY") {
			t.Errorf("%s tells a secret: %s", name, end.Message)
		}
	}
	if found, _ := filepath.Glob(outside + "/*"); len(found) > 0 {
		t.Errorf("written outside: %v", found)
	}
	for _, dir := range []string{w.options.Dir, filepath.Join(w.options.Dir, "sandboxes"), filepath.Join(w.options.Dir, "sandboxes", "_")} {
		if _, err := os.Stat(filepath.Join(dir, "evil")); err == nil {
			t.Errorf("evil in %s", dir)
		}
	}
}

// FuzzUnpack holds that no archive writes outside its root, whatever its bytes.
func FuzzUnpack(f *testing.F) {
	t := new(testing.T) // for the seeds, which cannot fail
	f.Add("a.tar", tarOf(t, entry{name: "../evil", content: "x"}, entry{name: "b", kind: tar.TypeSymlink, link: "a"}))
	f.Add("a.tgz", gzipOf(t, tarOf(t, entry{name: "a/b", content: "x"})))
	f.Add("a.zip", zipOf(t, entry{name: "../evil", content: "x"}, entry{name: "l", link: "/"}))
	f.Add("a.gz", gzipOf(t, []byte("x")))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if !strings.HasPrefix(name, "a.") || checkName(name) != nil || strings.HasSuffix(name, "xz") {
			return
		}
		dir := t.TempDir()
		inside := filepath.Join(dir, "deep", "inside")
		if err := os.MkdirAll(inside, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(inside, name), data, 0o644); err != nil {
			return // the system takes no such name
		}
		root, err := os.OpenRoot(inside)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		_ = newFetcher(1<<20).extract(t.Context(), root, name)
		found := 0
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
			if path != inside && !strings.HasPrefix(path, inside+"/") {
				found++
			}
			return nil
		})
		if found != 2 { // dir and deep
			t.Errorf("%d entries outside", found-2)
		}
	})
}

func ExampleParameters() {
	fmt.Println(strings.Join(Parameters()[:5], " "))
	// Output: add-host cap-add cap-drop cpu-shares cpus
}

package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// hangs has a server stop in the middle of a pack, after so many bytes of it.
func hangs(server *gittest.Server, after int64) (release func()) {
	free := make(chan struct{})
	release = sync.OnceFunc(func() { close(free) })
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&hangingWriter{ResponseWriter: w, left: after, free: free, gone: r.Context().Done()}, r)
	})
	return release
}

type hangingWriter struct {
	http.ResponseWriter
	left int64
	free chan struct{}
	gone <-chan struct{}
}

func (h *hangingWriter) Write(p []byte) (int, error) {
	n := int(min(int64(len(p)), h.left))
	if n > 0 {
		if _, err := h.ResponseWriter.Write(p[:n]); err != nil {
			return 0, err
		}
		h.ResponseWriter.(http.Flusher).Flush()
	}
	if h.left -= int64(n); n < len(p) {
		select {
		case <-h.free:
		case <-h.gone:
		}
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// A server that hangs in the middle of a pack is not waited for as long as one may
// take to answer.
func TestServerThatHangsInTheMiddleOfAPack(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", many())
	server := repo.Serve(t, gittest.HTTP{})
	sshd := repo.ServeSSH(t)
	release := hangs(server, 2000)
	t.Cleanup(release)
	// Of ssh what git-upload-pack sends is cut off and held.
	stuck := hangingUploadPack(t, repo, 3000)
	for name, o := range map[string]GitOptions{
		"http": {URL: server.Repo, AllowHTTP: true},
		"ssh":  {URL: sshd.Repo, Auth: Auth{Key: secret.Ref{File: sshd.KeyFile}, KnownHosts: sshd.KnownHosts}},
	} {
		t.Run(name, func(t *testing.T) {
			o.Timeout = time.Hour
			g := openGit(t, o)
			g.stall = 100 * time.Millisecond
			err := fails(t, g, errStalled)
			if !strings.Contains(err.Error(), "sent nothing for 100ms in the middle of a pack") {
				t.Errorf("got %v", err)
			}
			if g.clone.current != nil {
				t.Error("half a pack counts")
			}
			if name == "http" {
				server.Intercept(nil)
			} else {
				stuck()
			}
			wantRevision(t, snapshot(t, g), head, "main")
		})
	}
}

// hangingUploadPack has ssh's git-upload-pack hang after so many bytes, until the
// function that it returns is called.
func hangingUploadPack(t *testing.T, repo *gittest.Repo, after int) (free func()) {
	t.Helper()
	git, err := exec.LookPath("git-upload-pack")
	if err != nil {
		t.Fatal(err)
	}
	return repo.Shadow("git-upload-pack", fmt.Sprintf("%s \"$@\" | { dd bs=1 count=%d 2>/dev/null; exec sleep 30; }", git, after))
}

// While something comes, however little, and before a pack begins, a server may take
// its time.
func TestStallIsCountedWhileNothingComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		var gaveUp error
		r := newStallReader(reader, maxStall, func(err error) {
			gaveUp = err
			writer.CloseWithError(err) //nolint:errcheck // never fails
		})
		go func() {
			time.Sleep(5 * time.Minute) // before it begins
			for range 20 {
				writer.Write([]byte("x")) //nolint:errcheck // the reader tells
				time.Sleep(maxStall - time.Second)
			}
		}()
		got, err := io.ReadAll(&slowReader{r})
		if len(got) != 20 || !errors.Is(err, errStalled) || gaveUp == nil {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
}

// slowReader takes its time between reads, as a disk may.
type slowReader struct{ io.Reader }

func (s *slowReader) Read(p []byte) (int, error) {
	time.Sleep(2 * maxStall)
	return s.Reader.Read(p)
}

// What a server sends before a pack is bounded.
func TestServerThatSendsCommitsWithoutEnd(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"a": "1"})
	server := repo.Serve(t, gittest.HTTP{})
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		line := []byte("0035shallow 1111111111111111111111111111111111111111\n")
		for {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	fails(t, openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true}), ErrLimit)
}

// A source that cannot be stopped, as on a disk that does not answer, ends with its
// context all the same, and one that panics is an error.
func TestAttemptEndsWithItsContext(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	synctest.Test(t, func(t *testing.T) {
		turn, stuck := make(chan struct{}, 1), make(chan struct{})
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		begun := time.Now()
		_, err := attempt(ctx, "source x", turn, log, func() (*Snapshot, error) { <-stuck; return nil, nil })
		if !errors.Is(err, cause) || !strings.Contains(err.Error(), "source x") || time.Since(begun) > time.Minute+attemptGrace {
			t.Errorf("got %v after %s", err, time.Since(begun))
		}
		// Another waits for it, for as long as its context lets it.
		ctx, cancel = context.WithTimeoutCause(t.Context(), time.Minute, cause)
		defer cancel()
		if _, err := attempt[*Snapshot](ctx, "source x", turn, log, nil); !errors.Is(err, cause) {
			t.Errorf("got %v", err)
		}
		close(stuck)
		want := &Snapshot{}
		if got, err := attempt(t.Context(), "source x", turn, log, func() (*Snapshot, error) { return want, nil }); got != want || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
	_, err := attempt(t.Context(), "source x", make(chan struct{}, 1), log, func() (*Snapshot, error) { panic("no such object") })
	if err == nil || !strings.Contains(err.Error(), "source x: internal error: no such object") {
		t.Errorf("got %v", err)
	}
}

// A source that is being fetched is closed with an error, not never.
func TestCloseOfASourceThatIsStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &Git{fetcher: fetcher{turn: make(chan struct{}, 1), url: &url.URL{Scheme: "https", Host: "example.com"}}}
		d := &Directory{turn: make(chan struct{}, 1)}
		g.turn <- struct{}{}
		d.turn <- struct{}{}
		for _, s := range []Source{g, d} {
			if err := s.Close(); err == nil || !strings.Contains(err.Error(), "after 5s") {
				t.Errorf("%T: got %v", s, err)
			}
		}
	})
}

func TestRepositoryOfAnotherHash(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	for _, dir := range []string{repo.Bare, repo.Work} {
		if err := os.RemoveAll(filepath.Join(dir, ".git")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(repo.Bare); err != nil {
		t.Fatal(err)
	}
	repo.Git("init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", repo.Bare)
	sources := func(t *testing.T) map[string]GitOptions {
		sshd := repo.ServeSSH(t)
		return map[string]GitOptions{
			"http": {URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true},
			"file": {URL: "file://" + repo.Bare, AllowLocal: true},
			"ssh":  {URL: sshd.Repo, Auth: Auth{Key: secret.Ref{File: sshd.KeyFile}, KnownHosts: sshd.KnownHosts}},
		}
	}
	for _, empty := range []bool{true, false} {
		if !empty {
			repo.Git("init", "--quiet", "--object-format=sha256", "--initial-branch=main", repo.Work)
			repo.Git("remote", "add", "origin", repo.Bare)
			repo.Commit("begin", map[string]string{"a": "1"})
		}
		for name, o := range sources(t) {
			if empty && name != "file" {
				continue // git does not say
			}
			_, err := openGit(t, o).Snapshot(t.Context())
			if err == nil || !strings.Contains(err.Error(), "object format is SHA256") || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
				t.Errorf("%s, empty %t: got %v", name, empty, err)
			}
		}
	}
}

// A repository of this machine whose refs are stored in another way than in files is
// told apart from an empty one.
func TestRepositoryOfAnotherRefStorage(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	config := filepath.Join(repo.Bare, "config")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, config, string(text)+"[extensions]\n\trefStorage = reftable\n")
	_, err = openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true}).Snapshot(t.Context())
	if err == nil || !strings.Contains(err.Error(), "refs are stored as reftable") || !strings.Contains(err.Error(), "git refs migrate") {
		t.Errorf("got %v", err)
	}
}

// What a server says is one line that can be printed.
func TestWhatAServerSaysIsPrintable(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	server := repo.Serve(t, gittest.HTTP{})
	answer := func(text string) string { return fmt.Sprintf("%04x%s", len(text)+4, text) }
	for name, text := range map[string]string{
		"error":     answer("# service=git-upload-pack\n") + "0000" + answer("ERR \x1b[31mevil\x07 text\nlevel=ERROR\x1b[2J\n"),
		"malformed": answer("# service=git-upload-pack\n") + "0000" + answer("\x1b[31mevil\x00\x07"),
		"long":      answer("# service=git-upload-pack\n") + "0000" + answer("ERR "+strings.Repeat("evil ", 10_000)),
	} {
		server.Handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			io.WriteString(w, text) //nolint:errcheck // the client tells
		})
		_, err := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true}).Snapshot(t.Context())
		if err == nil || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) || len(err.Error()) > 2*maxError || !strings.Contains(err.Error(), "evil") {
			t.Errorf("%s: got %q", name, err)
		}
	}
}

// Every push brings a pack, and none takes a descriptor. Nor do the objects of a
// repository of this machine, each of which is a file where few are pushed at once.
func TestManyPushesTakeFewDescriptors(t *testing.T) {
	testenv.Long(t)
	if os.Getenv(measureEnv) == "" {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestManyPushesTakeFewDescriptors$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), measureEnv+"=descriptors")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	repo := gittest.New(t)
	const pushes = 200
	commits := looseCommits(t, repo, pushes+1)
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	g := openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Branch: "main", Dir: filepath.Join(t.TempDir(), "clone")})
	most := 0
	for i, commit := range commits {
		writeFile(t, filepath.Join(repo.Bare, "refs/heads/main"), commit+"\n")
		s := snapshot(t, g)
		wantFile(t, s, "a", fmt.Sprint(i))
		wantFile(t, s, "f0/9", "0-9")
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(open))
	}
	if most > 24 {
		t.Errorf("%d descriptors were open", most)
	}
	if n := g.clone.number; n < 2 {
		t.Errorf("the repository was fetched whole %d times", n)
	}
}

// looseCommits makes commits whose objects are loose, on main's place.
func looseCommits(t *testing.T, repo *gittest.Repo, count int) []string {
	t.Helper()
	var script strings.Builder
	file := func(name, content string) {
		fmt.Fprintf(&script, "M 100644 inline %s\ndata %d\n%s\n", name, len(content), content)
	}
	for i := range count {
		fmt.Fprintf(&script, "commit refs/heads/push\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nm\n", int(1e9)+i)
		file("a", fmt.Sprint(i))
		if i == 0 {
			for j := range 1000 {
				file(fmt.Sprintf("f%d/%d", j/10, j%10), fmt.Sprintf("%d-%d", j/10, j%10))
			}
		}
	}
	repo.GitInput(script.String(), "fast-import", "--quiet")
	packs, err := filepath.Glob(filepath.Join(repo.Bare, "objects/pack/*.pack"))
	if err != nil || len(packs) == 0 {
		t.Fatal(packs, err)
	}
	for _, pack := range packs {
		content, err := os.ReadFile(pack)
		if err != nil {
			t.Fatal(err)
		}
		index := strings.TrimSuffix(pack, ".pack") + ".idx"
		if err := errors.Join(os.Remove(pack), os.Remove(index)); err != nil {
			t.Fatal(err)
		}
		repo.GitInput(string(content), "unpack-objects", "-q")
	}
	return strings.Split(repo.BareGit("rev-list", "--reverse", "refs/heads/push"), "\n")
}

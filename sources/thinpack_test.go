package sources

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// front stands before a git server, sees what is asked and what is answered,
// and can answer instead.
type front struct {
	Repo string

	mu     sync.Mutex
	asked  []string // bodies of requests for packs
	sent   int      // bytes of their answers
	hides  string   // a capability that is not offered
	answer func(number int) []byte
	wanted string // the commit that was answered with last
}

func serveFront(t testing.TB, repo *gittest.Repo) *front {
	server := repo.Serve(t, gittest.HTTP{})
	to, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: f.see,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := f.take(r); answer != nil {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			w.Write(answer) //nolint:errcheck // the client tells
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	f.Repo = s.URL + "/repo.git"
	return f
}

// take notes a request for a pack, and returns what to answer instead of git.
func (f *front) take(r *http.Request) []byte {
	if r.Method != http.MethodPost {
		return nil
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, string(body))
	if f.answer == nil {
		return nil
	}
	return f.answer(len(f.asked))
}

func (f *front) see(r *http.Response) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Request.Method == http.MethodPost {
		f.sent += len(body)
	} else if f.hides != "" { // another of the same length, so that the line's length stays
		body = bytes.Replace(body, []byte(" "+f.hides), []byte(" "+strings.Repeat("x", len(f.hides))), 1)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// requests returns what was asked, and how much was answered, since the last call.
func (f *front) requests() (asked []string, sent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked, sent = f.asked, f.sent
	f.asked, f.sent = nil, 0
	return asked, sent
}

// answerWith has the first so many requests for packs answered with one.
func (f *front) answerWith(times int, wanted string, pack []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.wanted = nil, wanted
	f.answer = func(number int) []byte {
		if number > times {
			return nil
		}
		var out bytes.Buffer
		lines := pktline.NewEncoder(&out)
		lines.Encodef("shallow %s\n", wanted) //nolint:errcheck // to memory, as all below
		lines.Flush()                         //nolint:errcheck
		lines.Encodef("NAK\n")                //nolint:errcheck
		side := sideband.NewMuxer(sideband.Sideband64k, &out)
		for chunk := range slices.Chunk(pack, 60_000) {
			side.Write(chunk) //nolint:errcheck
		}
		lines.Flush() //nolint:errcheck
		return out.Bytes()
	}
}

// many are files in a few folders.
func many() map[string]string {
	files := map[string]string{}
	for i := range 300 {
		files[fmt.Sprintf("apps-%d/app-%03d.yaml", i%3, i)] = fmt.Sprintf("id: /shop/app-%d\ncmd: sleep %d\ncpus: 0.1\nmem: 32\ninstances: 2\n", i, i)
	}
	return files
}

// newestPack is how many objects the pack fetched last holds, with what it was
// completed by.
func newestPack(t testing.TB, g *Git) int {
	t.Helper()
	packs := g.clone.current.state.Packs
	content, err := os.ReadFile(filepath.Join(g.clone.current.path, packFiles, packs[len(packs)-1]+".pack"))
	if err != nil {
		t.Fatal(err)
	}
	return int(binary.BigEndian.Uint32(content[8:]))
}

// fsck has git check the newest generation: that all is there, but what is allowed
// to be missing, and is what its hash says.
func fsck(t testing.TB, g *Git, allowed ...string) {
	t.Helper()
	out, err := exec.Command("git", "--git-dir", g.clone.current.path, "-c", "safe.directory=*", "fsck", "--full", "--no-dangling").CombinedOutput()
	if err != nil && (len(allowed) == 0 || !strings.Contains(string(out), allowed[0])) {
		t.Errorf("git fsck: %v\n%s", err, out)
	}
	for _, pack := range g.clone.current.state.Packs {
		if out, err := exec.Command("git", "verify-pack", g.clone.current.packPath(pack)+".pack").CombinedOutput(); err != nil {
			t.Errorf("git verify-pack: %v\n%s", err, out)
		}
	}
}

func TestFetchBringsWhatChangedAlone(t *testing.T) {
	testenv.Long(t)
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		repo.Commit("begin", many())
		g := openGit(t, o)
		snapshot(t, g)
		if got := newestPack(t, g); got < 300 {
			t.Fatalf("the first pack holds %d objects", got)
		}
		// Each step, and how many objects it may take: commit, root, folder and
		// file, and for each but the commit one that it builds on.
		for _, step := range []struct {
			what   string
			do     func() string
			atMost int
		}{
			{"one file", func() string {
				return repo.Commit("one", map[string]string{"apps-1/app-007.yaml": "id: /shop/app-7\n"})
			}, 7},
			{"revert", func() string { return repo.Revert("HEAD") }, 1},
			{"empty commit", func() string { return repo.Commit("empty", nil) }, 1},
			{"new folder", func() string { return repo.Commit("new", map[string]string{"apps-9/app.yaml": "id: /x\n"}) }, 5},
			{"moved folder", func() string {
				repo.Git("mv", "apps-2", "apps-4")
				return repo.Commit("moved", nil)
			}, 3},
			{"force push", func() string {
				return repo.ForcePush(2, "forced", map[string]string{"apps-0/app-000.yaml": "id: /y\n"})
			}, 7},
		} {
			head := step.do()
			s := snapshot(t, g)
			wantRevision(t, s, head, "main")
			if got := newestPack(t, g); got > step.atMost {
				t.Errorf("%s: the pack holds %d objects, want at most %d", step.what, got, step.atMost)
			}
			wantSameFiles(t, s, repo)
		}
		fsck(t, g)
		g = reopen(t, g, o)
		wantSameFiles(t, snapshot(t, g), repo)
		if g.clone.number != 1 {
			t.Errorf("the repository was fetched whole %d times", g.clone.number)
		}
	})
}

// wantSameFiles compares a snapshot with the work tree.
func wantSameFiles(t testing.TB, s *Snapshot, repo *gittest.Repo) {
	t.Helper()
	want := map[string]string{}
	for name := range strings.SplitSeq(repo.Git("ls-files"), "\n") {
		content, err := os.ReadFile(filepath.Join(repo.Work, name))
		if err != nil {
			t.Fatal(err)
		}
		want[name] = string(content)
	}
	wantFiles(t, s, want)
}

// wantFiles wants these files, and no others.
func wantFiles(t testing.TB, s *Snapshot, want map[string]string) {
	t.Helper()
	found := 0
	err := fs.WalkDir(s.FS, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		found++
		content, err := fs.ReadFile(s.FS, name)
		expected, there := want[name]
		switch {
		case !there:
			t.Errorf("%s is there", name)
		case errors.Is(err, ErrLimit) && int64(len(expected)) > s.FS.(*treeFS).meter.limits.FileBytes:
		case err != nil:
			return err
		case string(content) != expected:
			t.Errorf("%s holds %q, want %q", name, content, expected)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found != len(want) {
		t.Errorf("there are %d files, want %d", found, len(want))
	}
}

func TestFetchOfOneChangeIsSmallOnTheWire(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", many())
	server := serveFront(t, repo)
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true})
	snapshot(t, g)
	asked, whole := server.requests()
	if len(asked) != 1 || strings.Contains(asked[0], "thin-pack") || strings.Contains(asked[0], "multi_ack") {
		t.Errorf("the first fetch asked %q", asked)
	}
	repo.Commit("one", map[string]string{"apps-1/app-007.yaml": "id: /shop/app-7\n"})
	snapshot(t, g)
	asked, sent := server.requests()
	if len(asked) != 1 || !strings.Contains(asked[0], "thin-pack") || !strings.Contains(asked[0], "deepen 1") || strings.Contains(asked[0], "multi_ack") {
		t.Errorf("the second fetch asked %q", asked)
	}
	if sent > 1500 || whole < 10*sent {
		t.Errorf("of one file %d bytes came, of all %d", sent, whole)
	}
}

func TestFetchFromAServerWithoutThinPacks(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", many())
	server := serveFront(t, repo)
	server.hides = "thin-pack"
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true})
	snapshot(t, g)
	repo.Commit("one", map[string]string{"apps-1/app-007.yaml": "id: /shop/app-7\n"})
	wantSameFiles(t, snapshot(t, g), repo)
	if asked, _ := server.requests(); strings.Contains(strings.Join(asked, "\n"), "thin-pack") {
		t.Errorf("it was asked %q", asked)
	}
	fsck(t, g)
}

// A server that cannot read a commit that it is told is here, as after a crash,
// can send the new one.
func TestServerThatLostWhatIsHere(t *testing.T) {
	testenv.Long(t)
	for _, lost := range []string{"HEAD", "HEAD^{tree}"} {
		t.Run(lost, func(t *testing.T) {
			transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
				files := map[string]string{"apps/a": "1", "apps/b": "1!", "c": "c"}
				repo.Commit("begin", files)
				o.URL = strings.Replace(o.URL, repo.Work, repo.Bare, 1) // which is what is damaged
				g := openGit(t, o)
				old := snapshot(t, g)
				hash := repo.Git("rev-parse", lost)
				repo.Commit("change", map[string]string{"apps/a": "2"})
				object := filepath.Join(repo.Bare, "objects", hash[:2], hash[2:])
				if err := errors.Join(os.Chmod(object, 0o600), os.Truncate(object, 0)); err != nil {
					t.Fatal(err)
				}
				for range maxFailed {
					if _, err := g.Snapshot(t.Context()); err == nil {
						break
					}
					wantFiles(t, old, files)
				}
				wantSameFiles(t, snapshot(t, g), repo)
			})
		})
	}
}

// A server that sends nothing that can be used is asked for what is new twice,
// then for all, and so on: what comes must not be all at each look.
func TestServerThatFailsIsNotAskedForAllAtEachLook(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", many())
	server := serveFront(t, repo)
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true})
	snapshot(t, g)
	server.answerWith(1, repo.Commit("change", map[string]string{"a": "1"}), []byte("no pack"))
	var haves []bool
	for range 7 {
		if s, err := g.Snapshot(t.Context()); err == nil {
			t.Fatalf("got %v", s)
		}
		asked, _ := server.requests()
		haves = append(haves, strings.Contains(strings.Join(asked, ""), "have "))
	}
	if want := []bool{true, true, false, true, true, false, true}; !slices.Equal(haves, want) {
		t.Errorf("it was told of what is here: %v, want %v", haves, want)
	}
	server.answerWith(0, "", nil)
	wantSameFiles(t, snapshot(t, g), repo)
	if g.clone.number != 1 {
		t.Errorf("the repository was fetched whole %d times", g.clone.number)
	}
}

// A server takes a file that it left out for its size for one that is here, and
// sends what a smaller one differs in.
func TestFetchOfWhatBuildsOnAFileThatWasLeftOut(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.BareGit("config", "uploadpack.allowFilter", "true")
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "line %x\n", sha1.Sum([]byte{byte(i), byte(i >> 8)}))
	}
	repo.Commit("large", map[string]string{"file": text.String(), "other": "1"})
	server := serveFront(t, repo)
	o := GitOptions{URL: server.Repo, AllowHTTP: true, Limits: Limits{FileBytes: 450_000}, Dir: t.TempDir()}
	g := openGit(t, o)
	if _, err := fs.ReadFile(snapshot(t, g).FS, "file"); !errors.Is(err, ErrLimit) {
		t.Fatalf("the large file: %v", err)
	}
	repo.Commit("smaller", map[string]string{"file": text.String()[:400_000], "other": "2"})
	wantSameFiles(t, snapshot(t, g), repo)
	if asked, _ := server.requests(); len(asked) != 3 {
		t.Errorf("%d fetches, want 3: the large file, what builds on it, all", len(asked))
	}
	repo.Commit("larger again", map[string]string{"file": text.String(), "other": "3"})
	if _, err := fs.ReadFile(snapshot(t, g).FS, "file"); !errors.Is(err, ErrLimit) {
		t.Fatalf("the large file: %v", err)
	}
	wantFile(t, snapshot(t, reopen(t, g, o)), "other", "3")
}

// What a pack builds on can be more than may be fetched, where all is less.
func TestThinPackThatIsTooLargeOnceCompleted(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	zeros := strings.Repeat("0\n", 50_000)
	repo.Commit("begin", map[string]string{"file": zeros})
	server := serveFront(t, repo)
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Limits: Limits{FetchBytes: 50_000}})
	snapshot(t, g)
	repo.Commit("change", map[string]string{"file": zeros + "1\n"})
	wantSameFiles(t, snapshot(t, g), repo)
	if asked, _ := server.requests(); len(asked) != 3 {
		t.Errorf("%d fetches, want 3: all, the change, all", len(asked))
	}
}

// Snapshots are read while others are fetched.
func TestSnapshotIsReadWhileTheNextIsFetched(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", many())
	g := openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true})
	var reading sync.WaitGroup
	for i := range 4 {
		s, want := snapshot(t, g), repo.Git("rev-parse", "HEAD:apps-1/app-007.yaml")
		reading.Go(func() {
			for range 3 {
				for name := range many() {
					content, err := fs.ReadFile(s.FS, name)
					if err != nil {
						t.Error(err)
					}
					if name == "apps-1/app-007.yaml" && plumbing.ComputeHash(plumbing.BlobObject, content) != toHash(want) {
						t.Errorf("it holds %q", content)
					}
				}
			}
		})
		repo.Commit("change", map[string]string{"apps-1/app-007.yaml": fmt.Sprint(i)})
	}
	reading.Wait()
}

// raw is an object as git hashes it.
func raw(t testing.TB, repo *gittest.Repo, kind plumbing.ObjectType, hash string) []byte {
	t.Helper()
	content := repo.BareGit("cat-file", kind.String(), hash)
	for _, end := range []string{"", "\n"} { // which the helper takes off
		if plumbing.ComputeHash(kind, []byte(content+end)) == toHash(hash) {
			return []byte(content + end)
		}
	}
	t.Fatalf("object %s is not a %s", hash, kind)
	return nil
}

func whole(kind plumbing.ObjectType, content []byte) []byte {
	return packed(int(kind), len(content), nil, content)
}

func refDelta(base plumbing.Hash, delta []byte) []byte {
	return packed(int(plumbing.REFDeltaObject), len(delta), base[:], delta)
}

func packOf(objects ...[]byte) []byte {
	pack := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(len(objects)))
	pack = append(pack, bytes.Join(objects, nil)...)
	sum := sha1.Sum(pack)
	return append(pack, sum[:]...)
}

func TestHostileThinPacks(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	base := strings.Repeat("base ", 200)
	baseHash := plumbing.ComputeHash(plumbing.BlobObject, []byte(base))
	nowhere := plumbing.NewHash(strings.Repeat("12", 20))
	type parts struct{ commit, root, folder []byte }
	same := append(varint(len(base)), varint(len(base)+1)...)
	same = append(same, 0xb0, byte(len(base)), byte(len(base)>>8), 1, '!') // copy the base, and add a byte
	makes := func(size int) []byte {                                       // many copies of the base
		delta := append(varint(len(base)), varint(size)...)
		return append(delta, bytes.Repeat([]byte{0xb0, byte(len(base)), byte(len(base) >> 8)}, 2000)...)
	}
	for name, c := range map[string]struct {
		pack   func(p parts) []byte
		kind   error  // of the error, if it has one
		says   string // in the error
		healed bool   // by asking once more, for all
		taken  bool   // as an answer to that: nothing says then that a file is missing
	}{
		"base that is nowhere": {
			pack: func(p parts) []byte { return packOf(whole(plumbing.CommitObject, p.commit), refDelta(nowhere, same)) },
			kind: errUnfit, says: "neither in it nor here: check the repository", healed: true,
		},
		"folder left out": {
			pack: func(p parts) []byte {
				return packOf(whole(plumbing.CommitObject, p.commit), whole(plumbing.TreeObject, p.root), refDelta(baseHash, same))
			},
			kind: errUnfit, says: "object not found", healed: true,
		},
		"file left out": {
			pack: func(p parts) []byte {
				return packOf(whole(plumbing.CommitObject, p.commit), whole(plumbing.TreeObject, p.root), whole(plumbing.TreeObject, p.folder))
			},
			kind: errUnfit, says: "is missing", healed: true, taken: true,
		},
		"what is here made once more": {
			pack: func(p parts) []byte {
				one := plumbing.ComputeHash(plumbing.BlobObject, []byte("1"))
				again := append(varint(1), varint(len(base))...)
				for chunk := range slices.Chunk([]byte(base), 100) {
					again = append(append(again, byte(len(chunk))), chunk...)
				}
				return packOf(whole(plumbing.CommitObject, p.commit), whole(plumbing.TreeObject, p.root), whole(plumbing.TreeObject, p.folder),
					refDelta(one, again), refDelta(baseHash, same))
			},
			kind: errUnfit, says: "more than once", healed: true,
		},
		"object of no kind": {
			pack: func(p parts) []byte {
				return packOf(whole(plumbing.CommitObject, p.commit), whole(plumbing.TreeObject, p.root), whole(plumbing.TreeObject, p.folder),
					refDelta(baseHash, same), packed(5, 1, nil, []byte("x")))
			},
			says: "unknown type 5",
		},
		"commit left out": {
			pack: func(p parts) []byte { return packOf(refDelta(baseHash, same)) },
			kind: errUnfit, says: "object not found", healed: true,
		},
		"delta makes what is huge": {
			pack: func(p parts) []byte {
				return packOf(whole(plumbing.CommitObject, p.commit), refDelta(baseHash, makes(2000*len(base))))
			},
			kind: ErrLimit, says: "2000000 bytes",
		},
		"delta makes more than it says": {
			pack: func(p parts) []byte {
				return packOf(whole(plumbing.CommitObject, p.commit), refDelta(baseHash, makes(10)))
			},
			kind: errUnfit, says: "delta", healed: true,
		},
		"delta of another size of base": {
			pack: func(p parts) []byte {
				return packOf(whole(plumbing.CommitObject, p.commit), refDelta(baseHash, append(varint(3), same[2:]...)))
			},
			kind: errUnfit, says: "delta", healed: true,
		},
		"cut off": {
			pack: func(p parts) []byte {
				pack := packOf(whole(plumbing.CommitObject, p.commit), refDelta(baseHash, same), whole(plumbing.TreeObject, p.root))
				return pack[:len(pack)-30]
			},
			says: "read the pack",
		},
		"without checksum": {
			pack: func(p parts) []byte {
				pack := packOf(whole(plumbing.CommitObject, p.commit), refDelta(baseHash, same))
				return pack[:len(pack)-10]
			},
			says: "read the pack",
		},
		"wrong checksum": {
			pack: func(p parts) []byte {
				pack := packOf(whole(plumbing.CommitObject, p.commit), refDelta(baseHash, same))
				pack[len(pack)-1] ^= 1
				return pack
			},
			says: "checksum",
		},
		"more after its end": {
			pack: func(p parts) []byte { return append(packOf(whole(plumbing.CommitObject, p.commit)), "more"...) },
			says: "4 bytes after the end",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t)
			repo.Commit("begin", map[string]string{"apps/file": base, "other": "1"})
			server := serveFront(t, repo)
			o := GitOptions{URL: server.Repo, AllowHTTP: true, Limits: Limits{ObjectBytes: 1 << 20}, Dir: t.TempDir()}
			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			g := openGit(t, o)
			old := snapshot(t, g)
			wanted := repo.Commit("change", map[string]string{"apps/file": base + "!"})
			pack := c.pack(parts{
				commit: raw(t, repo, plumbing.CommitObject, wanted),
				root:   raw(t, repo, plumbing.TreeObject, repo.Git("rev-parse", "HEAD^{tree}")),
				folder: raw(t, repo, plumbing.TreeObject, repo.Git("rev-parse", "HEAD:apps")),
			})
			if !c.taken {
				server.answerWith(2, wanted, pack)
				if s, err := g.Snapshot(t.Context()); err == nil {
					t.Fatalf("got %v", s)
				}
				wantFile(t, old, "apps/file", base)
				if g = reopen(t, g, o); g.clone.current == nil {
					t.Fatal("the clone on disk is gone")
				}
			}
			// Once more, and then the right answer.
			log.Reset()
			server.answerWith(1, wanted, pack)
			s, err := g.Snapshot(t.Context())
			if (err == nil) != c.healed || c.kind != nil && err != nil && !errors.Is(err, c.kind) {
				t.Fatalf("got %v, %v; want it healed: %t", s, err, c.healed)
			}
			if told := fmt.Sprint(err, log.String()); !strings.Contains(told, c.says) {
				t.Errorf("nothing says %q: %s", c.says, told)
			}
			s = snapshot(t, g)
			wantRevision(t, s, wanted, "main")
			wantSameFiles(t, s, repo)
			wantSameFiles(t, snapshot(t, reopen(t, g, o)), repo)
			if stray := files(t, filepath.Join(o.Dir, "generation-1", packFiles)); len(stray) > 4 {
				t.Errorf("files are left: %q", stray)
			}
		})
	}
}

// FuzzThinPack: whatever a server sends, what is here stays as it is.
func FuzzThinPack(f *testing.F) {
	repo := gittest.New(f)
	base := strings.Repeat("base ", 200)
	repo.Commit("begin", map[string]string{"apps/file": base})
	g := openGit(f, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Dir: f.TempDir()})
	snapshot(f, g)
	hash := plumbing.ComputeHash(plumbing.BlobObject, []byte(base))
	delta := append(varint(len(base)), varint(len(base)+1)...)
	delta = append(delta, 0xb0, byte(len(base)), byte(len(base)>>8), 1, '!')
	first := refDelta(hash, delta)
	f.Add(uint32(1), first)
	f.Add(uint32(2), append(bytes.Clone(first), refDelta(plumbing.ComputeHash(plumbing.BlobObject, []byte(base+"!")), delta)...))
	f.Add(uint32(2), append(bytes.Clone(first), packed(int(plumbing.OFSDeltaObject), len(delta), []byte{byte(len(first))}, delta)...))
	f.Add(uint32(2), append(bytes.Clone(first), whole(plumbing.BlobObject, []byte(base))...)) // the base too
	f.Fuzz(func(t *testing.T, count uint32, objects []byte) {
		pack := append(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count), objects...)
		sum := sha1.Sum(pack)
		at := g.clone.current
		stored, err := at.receive(t.Context(), bytes.NewReader(append(pack, sum[:]...)), Limits{FetchBytes: 1 << 20, ObjectBytes: 1 << 20}.withDefaults())
		if err == nil {
			path := at.packPath(stored.Name) + ".pack"
			if info, err := os.Stat(path); err != nil || info.Size() != stored.Size {
				t.Errorf("the pack has %d bytes: %v, %v", stored.Size, info, err)
			}
			if out, err := exec.Command("git", "verify-pack", path).CombinedOutput(); err != nil {
				t.Errorf("git verify-pack: %v\n%s", err, out)
			}
		}
		if err := at.removeStray(); err != nil {
			t.Error(err)
		}
		g.last = nil
		wantFiles(t, snapshot(t, g), map[string]string{"apps/file": base})
		if left := files(t, filepath.Join(at.path, packFiles)); len(left) != 2 {
			t.Errorf("there are %q", left)
		}
	})
}

package sources

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

func toHash(s string) plumbing.Hash { return plumbing.NewHash(s) }

func cloneOptions(t *testing.T, repo *gittest.Repo) (GitOptions, *gittest.Server) {
	server := repo.Serve(t, gittest.HTTP{})
	return GitOptions{URL: server.Repo, AllowHTTP: true, Branch: "main", Dir: filepath.Join(t.TempDir(), "clone")}, server
}

// reopen closes and opens anew, as a restart does.
func reopen(t *testing.T, g *Git, o GitOptions) *Git {
	t.Helper()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	return openGit(t, o)
}

func TestCloneSurvivesARestart(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", map[string]string{"a": "1"})
	o, server := cloneOptions(t, repo)
	g := openGit(t, o)
	old := snapshot(t, g)
	server.Requests()
	g = reopen(t, g, o)
	s := snapshot(t, g)
	wantRevision(t, s, head, "main")
	wantFile(t, s, "a", "1")
	if requests := server.Requests(); len(requests) != 1 {
		t.Errorf("after a restart more than a look was asked: %v", requests)
	}
	wantFile(t, old, "a", "1")
	repo.Commit("two", map[string]string{"a": "2"})
	wantFile(t, snapshot(t, g), "a", "2")
}

func TestCloneIsAGitRepository(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"a": "1"})
	head := repo.Commit("two", map[string]string{"a": "2"})
	o, _ := cloneOptions(t, repo)
	snapshot(t, openGit(t, o))
	cmd := exec.Command("git", "--git-dir", filepath.Join(o.Dir, "generation-1"), "-c", "safe.directory=*", "log", "--format=%H")
	out, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != head {
		t.Errorf("git log says %s, %v; want %s", out, err, head)
	}
}

func TestDamagedCloneIsMadeAfresh(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	each := func(pattern string, do func(t *testing.T, path string)) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			found, err := filepath.Glob(filepath.Join(dir, "generation-*", pattern))
			if err != nil || len(found) == 0 {
				t.Fatalf("no %s in %s: %v", pattern, dir, err)
			}
			for _, path := range found {
				if err := os.Chmod(path, 0o600); err != nil {
					t.Fatal(err)
				}
				do(t, path)
			}
		}
	}
	flip := func(t *testing.T, path string) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)/2] ^= 0xff
		writeFile(t, path, string(content))
	}
	cut := func(t *testing.T, path string) {
		if err := os.Truncate(path, 10); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, path string) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, damage := range map[string]func(t *testing.T, dir string){
		"pack flipped":  each("objects/pack/*.pack", flip),
		"pack cut off":  each("objects/pack/*.pack", cut),
		"pack gone":     each("objects/pack/*.pack", remove),
		"index gone":    each("objects/pack/*.idx", remove),
		"index cut off": each("objects/pack/*.idx", cut),
		"state gone":    each(stateFile, remove),
		"state cut off": each(stateFile, cut),
		"all gone": func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "generation-1", "objects")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t)
			head := repo.Commit("begin", map[string]string{"a": strings.Repeat("1", 1000), "b/c": "2"})
			o, _ := cloneOptions(t, repo)
			g := openGit(t, o)
			snapshot(t, g)
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			damage(t, o.Dir)
			s := snapshot(t, openGit(t, o))
			wantRevision(t, s, head, "main")
			wantFile(t, s, "a", strings.Repeat("1", 1000))
			wantFile(t, s, "b/c", "2")
		})
	}
}

// Damage that only a reader meets is an error of that read, never another
// content, and the next look repairs it.
func TestCloneDamagedWhileItIsRead(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", map[string]string{"a": "1"})
	o, _ := cloneOptions(t, repo)
	g := openGit(t, o)
	s := snapshot(t, g)
	packs, _ := filepath.Glob(filepath.Join(o.Dir, "generation-1", "objects/pack/*.pack"))
	content, err := os.ReadFile(packs[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := 12; i < len(content); i++ {
		content[i] = 0xff
	}
	if err := os.Chmod(packs[0], 0o600); err != nil {
		t.Fatal(err)
	}
	writeFile(t, packs[0], string(content)) // in place: the same file that is held open
	if got, err := s.FS.(interface {
		ReadFile(string) ([]byte, error)
	}).ReadFile("a"); err == nil {
		t.Fatalf("read %q from a damaged pack", got)
	}
	again := snapshot(t, g)
	wantRevision(t, again, head, "main")
	wantFile(t, again, "a", "1")
}

// After a fetch that failed the indexes are read anew. Of packs whose index then
// cannot be read, as where too many files are open, nothing would be found: their
// files would be taken for ones that are too large.
func TestIndexThatCannotBeReadAfterAFetchThatFailed(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"a": "1", "b": "0"})
	server := serveFront(t, repo)
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true})
	snapshot(t, g)
	for i := 1; ; i++ { // till a newer pack is read before the first
		repo.Commit("change", map[string]string{"b": fmt.Sprint(i)})
		snapshot(t, g)
		if packs := g.clone.current.state.Packs; packs[len(packs)-1] < packs[0] {
			break
		}
	}
	at := g.clone.current
	index := filepath.Join(at.path, packFiles, at.state.Packs[0]+".idx")
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	server.answerWith(1, repo.Commit("one more", map[string]string{"b": "one more"}), []byte("no pack"))
	_, _ = g.Snapshot(t.Context()) // whether this look repairs it, or the next
	wantSameFiles(t, snapshot(t, g), repo)
}

func TestKilledInMidFetchLeavesNothingThatCounts(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	head := repo.Commit("begin", map[string]string{"a": "1"})
	o, _ := cloneOptions(t, repo)
	g := openGit(t, o)
	snapshot(t, g)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	// What a kill at the worst moments leaves: half a pack, a whole one that is
	// not noted, half a generation.
	pack := filepath.Join(o.Dir, "generation-1", "objects/pack")
	stray := []string{
		writeFile(t, filepath.Join(pack, "incoming-1"), "PACK"), writeFile(t, filepath.Join(pack, "completed-1"), "PACK"), writeFile(t, filepath.Join(pack, "tmp_pack_1"), "PACK"),
		writeFile(t, filepath.Join(pack, "pack-"+strings.Repeat("ab", 20)+".pack"), "PACK"),
		writeFile(t, filepath.Join(pack, "pack-"+strings.Repeat("cd", 20)+".idx"), "idx"),
	}
	half := filepath.Join(o.Dir, "unfinished-2")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(half, stateFile), "{")
	s := snapshot(t, openGit(t, o))
	wantRevision(t, s, head, "main")
	wantFile(t, s, "a", "1")
	for _, name := range append(stray, half) {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", name, err)
		}
	}
}

func TestCloneDoesNotGrowWithoutBound(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	const pushes = 2*maxPacks + 5
	var script strings.Builder // one process for all commits, each of a history of its own
	for i := range pushes + 1 {
		fmt.Fprintf(&script, "reset refs/heads/push-%d\ncommit refs/heads/push-%d\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nmM 100644 inline a\ndata %d\n%d\n",
			i, i, 1e9+i, len(fmt.Sprint(i)), i)
	}
	repo.GitInput(script.String(), "fast-import", "--quiet")
	push := func(i int) { repo.BareGit("update-ref", "refs/heads/main", fmt.Sprintf("refs/heads/push-%d", i)) }
	push(0)
	o := GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Branch: "main", Dir: filepath.Join(t.TempDir(), "clone")}
	g := openGit(t, o)
	snapshot(t, g)
	var before *Snapshot
	count := func(i, most int) {
		generations, _ := filepath.Glob(filepath.Join(o.Dir, "generation-*"))
		packs, _ := filepath.Glob(filepath.Join(o.Dir, "generation-*", "objects/pack/*.pack"))
		if len(generations) > most || len(packs) > most*maxPacks {
			t.Fatalf("after %d pushes there are %d generations and %d packs", i, len(generations), len(packs))
		}
	}
	for i := 1; i <= pushes; i++ {
		push(i)
		s := snapshot(t, g)
		wantFile(t, s, "a", fmt.Sprint(i))
		if i == maxPacks-1 {
			before = s
		}
		count(i, 3) // the two last, and one that is still read
	}
	if g.clone.number != 3 {
		t.Errorf("the clone was renewed %d times, want 2", g.clone.number-1)
	}
	wantFile(t, before, "a", fmt.Sprint(maxPacks-1)) // its generation is not the newest, nor the one before
	runtime.KeepAlive(before)
	gone := func() bool {
		_, err := os.Stat(filepath.Join(o.Dir, "generation-1"))
		return errors.Is(err, fs.ErrNotExist)
	}
	for range 1000 { // cleanups run beside the collection
		if runtime.GC(); gone() {
			break
		}
		runtime.Gosched()
	}
	count(pushes, 2)
	wantFile(t, snapshot(t, reopen(t, g, o)), "a", fmt.Sprint(pushes))
}

func TestCloneIsNotShared(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", nil)
	o, _ := cloneOptions(t, repo)
	g := openGit(t, o)
	if second, err := NewGit(o); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", os.Getpid())) {
		t.Errorf("a second one got %v, %v", second, err)
	}
	g = reopen(t, g, o)
	snapshot(t, g)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	fails(t, g, ErrClosed)
	if err := g.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestCloneForAnotherURLIsNotUsed(t *testing.T) {
	t.Parallel()
	one, two := gittest.New(t), gittest.New(t)
	one.Commit("one", map[string]string{"a": "1"})
	two.Commit("two", map[string]string{"a": "2"})
	o, _ := cloneOptions(t, one)
	g := openGit(t, o)
	snapshot(t, g)
	o.URL = two.Serve(t, gittest.HTTP{}).Repo
	wantFile(t, snapshot(t, reopen(t, g, o)), "a", "2")
}

func TestTemporaryCloneGoesAndItsSnapshotsStay(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	large := strings.Repeat("large", 20_000)
	repo.Commit("begin", map[string]string{"a": "1", "b/c": "2", "large": large})
	o, _ := cloneOptions(t, repo)
	o.Dir = ""
	g := openGit(t, o)
	s := snapshot(t, g)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(g.clone.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", g.clone.dir, err)
	}
	wantFile(t, s, "b/c", "2")
	wantFile(t, s, "large", large)
}

// A process that was forked at that moment, and has not yet become another
// program, holds every open file too: closing alone would leave the folder
// locked by it.
func TestCloseGivesTheFolderFreeThoughAChildHoldsItsFiles(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"a": "1"})
	o, _ := cloneOptions(t, repo)
	g := openGit(t, o)
	shareOpenFiles(t, filepath.Join(o.Dir, "lock"))
	snapshot(t, reopen(t, g, o))
}

// shareOpenFiles keeps what this process has open of a file open, as a forked
// child would.
func shareOpenFiles(t *testing.T, name string) {
	t.Helper()
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	shared := 0
	for _, link := range open {
		if to, err := os.Readlink(link); err != nil || to != name {
			continue
		}
		fd, _ := strconv.Atoi(filepath.Base(link))
		again, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(again) })
		shared++
	}
	if shared == 0 {
		t.Fatalf("%s is not open", name)
	}
}

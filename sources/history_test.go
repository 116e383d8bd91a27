package sources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// wantChange holds what is said of who changed a path last to what git says.
func wantChange(t *testing.T, s *Snapshot, repo *gittest.Repo, path string) {
	t.Helper()
	want := repo.BareGit("log", "-1", "--format=%H %an: %s", s.Revision.ID, "--", cmp.Or(path, ":/"))
	c, err := s.LastChange(t.Context(), path)
	got := strings.TrimSpace(fmt.Sprintf("%s %s: %s", c.ID, c.Author, c.Subject))
	switch {
	case want == "" && errors.Is(err, ErrNoHistory):
	case err != nil || got != want:
		t.Errorf("%q was changed last by %q, %v; git says %q", path, got, err, want)
	}
}

// What changed a folder last is what git log -1 says, by every transport: of several
// commits that were pushed at once, of a merge, of a commit that changes something
// else, of a deletion.
func TestLastChange(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		repo.BareGit("config", "uploadpack.allowFilter", "true")
		repo.Commit("begin", map[string]string{"shop/a.yaml": "1", "blog/deep/b.yaml": "1", "README": "1"})
		g := openGit(t, o)
		check := func(what string) {
			t.Helper()
			s := snapshot(t, g)
			for _, path := range []string{"", "shop", "blog", "blog/deep", "blog/deep/b.yaml", "nowhere", "shop/a.yaml/below"} {
				wantChange(t, s, repo, path)
			}
			if t.Failed() {
				t.Fatal(what)
			}
		}
		check("the first commit")
		repo.Commit("one", map[string]string{"shop/a.yaml": "2"})
		check("one commit")
		repo.Commit("not the shop", map[string]string{"README": "2"})
		check("a commit beside the folders")
		repo.Commit("first of three", map[string]string{"shop/a.yaml": "3"})
		repo.Commit("second of three", map[string]string{"blog/deep/b.yaml": "2"})
		repo.Commit("third of three", map[string]string{"README": "3"})
		check("three commits at once")
		repo.Branch("feature")
		repo.Commit("on the branch", map[string]string{"shop/a.yaml": "4"})
		repo.Switch("main")
		repo.Commit("on main meanwhile", map[string]string{"blog/deep/b.yaml": "3"})
		repo.Merge("feature")
		check("a merge")
		repo.Git("rm", "--quiet", "-r", "blog")
		repo.Commit("away with it", nil)
		repo.Commit("and more", map[string]string{"README": "4"})
		check("a deletion")
		repo.Revert("HEAD~1")
		repo.Commit("beside it", map[string]string{"README": "5"})
		check("a revert")
	})
}

// So it is of random histories, fetched now and then.
func TestLastChangeOfRandomHistories(t *testing.T) {
	testenv.Long(t)
	for i, c := range []struct{ name, filter string }{{"http", "false"}, {"http with filter", "true"}, {"file", "true"}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPushes(t, uint64(100+i))
			p.repo.BareGit("config", "uploadpack.allowFilter", c.filter)
			o := GitOptions{URL: "file://" + p.repo.Bare, AllowLocal: true}
			if c.name != "file" {
				o = GitOptions{URL: p.repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true}
			}
			o.Branch, o.Dir = "main", filepath.Join(t.TempDir(), "clone")
			g := openGit(t, o)
			for step := range 25 {
				what := ""
				for range 1 + p.random.IntN(4) {
					what += p.push() + ", "
					if p.random.IntN(3) == 0 {
						what += "a merge, "
						head, other := p.head(), p.any()
						files := maps.Clone(p.holds[head])
						if p.random.IntN(2) == 0 {
							files = maps.Clone(p.holds[other])
						}
						if p.random.IntN(4) == 0 {
							files = p.change(files)
						}
						p.commit(head, files, other)
					}
				}
				s := snapshot(t, g)
				for _, path := range []string{"", "f0", "f1", "f1/g1", "f2/g0", "app-3.yaml"} {
					wantChange(t, s, p.repo, path)
				}
				if t.Failed() {
					t.Fatalf("step %d: %s", step, what)
				}
			}
		})
	}
}

// A commit that was pushed alone costs no request; others one conversation for all
// paths, of commits and folders alone.
func TestLastChangeAsksOnlyWhereItMust(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.BareGit("config", "uploadpack.allowFilter", "true")
	large := strings.Repeat("not to be fetched\n", 100_000)
	repo.Commit("begin", map[string]string{"shop/a.yaml": "1", "blog/b.yaml": "1"})
	server := repo.Serve(t, gittest.HTTP{})
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Dir: filepath.Join(t.TempDir(), "clone")})
	snapshot(t, g)
	repo.Commit("alone", map[string]string{"shop/a.yaml": "2"})
	s := snapshot(t, g)
	server.Requests()
	wantChange(t, s, repo, "shop")
	if asked := server.Requests(); len(asked) > 0 {
		t.Errorf("asked %q for a commit that stands on the one before", asked)
	}
	repo.Commit("with something large", map[string]string{"shop/a.yaml": "3", "shop/large": large})
	repo.Commit("without it", map[string]string{"shop/large": "small"})
	repo.Commit("beside it", map[string]string{"README": "1"})
	s = snapshot(t, g)
	server.Requests()
	for range 3 {
		for _, path := range []string{"shop", "blog", "README"} {
			wantChange(t, s, repo, path)
		}
	}
	if asked := server.Requests(); len(asked) != 2 {
		t.Errorf("asked %q, want the list of refs and one pack", asked)
	}
	var bytes int64
	packs, _ := filepath.Glob(filepath.Join(g.clone.dir, historyFolder, "*"))
	for _, file := range packs {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if len(packs) != 2 || bytes > 10_000 {
		t.Errorf("%d files of %d bytes for three small commits", len(packs), bytes)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g = reopen(t, g, GitOptions{URL: server.Repo, AllowHTTP: true, Dir: g.clone.dir})
	if left, _ := filepath.Glob(filepath.Join(g.clone.dir, historyFolder)); len(left) > 0 {
		t.Errorf("%q is there still after a restart", left)
	}
}

// Where history cannot be had, or goes too far back, it is not known, and nothing is
// guessed: an error that says so, soon.
func TestLastChangeIsNotKnown(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"shop/a.yaml": "1", "README": "begin"})
	server := repo.Serve(t, gittest.HTTP{})
	dir := filepath.Join(t.TempDir(), "clone")
	g := openGit(t, GitOptions{URL: server.Repo, AllowHTTP: true, Dir: dir})
	snapshot(t, g)
	for i := range maxHistory + 5 {
		repo.Write(map[string]string{"README": fmt.Sprint(i)})
		repo.Git("commit", "--quiet", "--all", "--message", fmt.Sprint("beside it ", i))
	}
	repo.Commit("beside it", map[string]string{"README": "last"})
	s := snapshot(t, g)
	wantChange(t, s, repo, "README")
	if c, err := s.LastChange(t.Context(), "shop"); !errors.Is(err, ErrNoHistory) {
		t.Errorf("%+v, %v: it is farther back than is read", c, err)
	}

	repo.Commit("two", map[string]string{"shop/a.yaml": "2"})
	repo.Commit("and one beside it", map[string]string{"README": "after"})
	s = snapshot(t, g)
	server.Handle(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	if c, err := s.LastChange(t.Context(), "shop"); !errors.Is(err, ErrNoHistory) {
		t.Errorf("%+v, %v, though the server is down", c, err)
	}
	hangs := make(chan struct{})
	defer close(hangs)
	server.Handle(func(http.ResponseWriter, *http.Request) { <-hangs })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if c, err := s.LastChange(ctx, "shop"); !errors.Is(err, ErrNoHistory) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v, though the server hangs", c, err)
	}
	server.Handle(nil)
	wantChange(t, s, repo, "shop") // and what failed once may do later
	wantFile(t, s, "shop/a.yaml", "2")
	if directory := openDirectory(t, repo.Work); snapshot(t, directory).LastChange != nil {
		t.Error("a directory has history")
	}
}

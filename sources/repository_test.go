package sources

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pacer-gitops/pacer/sources/gittest"
)

// A repository of this machine is read wherever its objects are: in packs, loose, or
// in another that it borrows from, which may borrow too.
func TestLocalRepositoryIsReadWhereverItsObjectsAre(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"packed": "1"})
	repo.BareGit("repack", "-adq")
	// A folder whose name is a pattern, had anybody taken it for one.
	path := filepath.Join(t.TempDir(), "[a-b]*", "borrower.git")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	repo.Git("clone", "--quiet", "--bare", "--shared", repo.Bare, path)
	second := filepath.Join(filepath.Dir(path), "second.git")
	repo.Git("clone", "--quiet", "--bare", "--shared", path, second)
	for _, url := range []string{path, second} {
		wantFile(t, snapshot(t, openGit(t, GitOptions{URL: "file://" + url, AllowLocal: true})), "packed", "1")
	}
	repo.Git("remote", "set-url", "origin", path)
	repo.Commit("loose", map[string]string{"loose": "2"})
	s := snapshot(t, openGit(t, GitOptions{URL: "file://" + path, AllowLocal: true}))
	wantFile(t, s, "packed", "1")
	wantFile(t, s, "loose", "2")
	// One that borrows from itself too is read all the same.
	alternates := filepath.Join(path, "objects/info/alternates")
	before, err := os.ReadFile(alternates)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, alternates, string(before)+filepath.Join(path, "objects")+"\n")
	wantFile(t, snapshot(t, openGit(t, GitOptions{URL: "file://" + path, AllowLocal: true})), "packed", "1")
}

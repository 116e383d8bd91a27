package sources

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/sources/gittest"
)

// tenThousand is a repository with 10,000 manifests in one folder.
func tenThousand(b *testing.B) *gittest.Repo {
	repo := gittest.New(b)
	var script strings.Builder
	script.WriteString("commit refs/heads/main\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 5\nbegin\n")
	for i := range 10_000 {
		content := fmt.Sprintf("id: /shop/app-%d\ncmd: sleep %d\ncpus: 0.1\nmem: 32\ninstances: 2\nlabels: {team: shop, tier: \"%d\"}\n", i, i, i%7)
		fmt.Fprintf(&script, "M 100644 inline apps/app-%05d.yaml\ndata %d\n%s\n", i, len(content), content)
	}
	repo.GitInput(script.String(), "fast-import", "--quiet")
	return repo
}

// changeOne commits a change of one file.
func changeOne(repo *gittest.Repo, n int) {
	content := fmt.Sprintf("id: /shop/app-7\ncmd: sleep %d\n", n)
	repo.GitInput(fmt.Sprintf("commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 3\none\nfrom refs/heads/main^0\nM 100644 inline apps/app-00007.yaml\ndata %d\n%s\n",
		1700000001+n, len(content), content), "fast-import", "--quiet")
}

func benchGit(b *testing.B, repo *gittest.Repo) *Git {
	o := GitOptions{URL: repo.Serve(b, gittest.HTTP{}).Repo, AllowHTTP: true, Branch: "main", Dir: filepath.Join(b.TempDir(), "clone")}
	return openGit(b, o)
}

// BenchmarkLookUnchanged: ask a server on this machine for its refs.
func BenchmarkLookUnchanged(b *testing.B) {
	g := benchGit(b, tenThousand(b))
	snapshot(b, g)
	for b.Loop() {
		snapshot(b, g)
	}
}

// BenchmarkListChanged: after a fetch with one file of 10,000 changed, list
// them all with their content ids.
func BenchmarkListChanged(b *testing.B) {
	repo := tenThousand(b)
	g := benchGit(b, repo)
	snapshot(b, g)
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		changeOne(repo, n)
		s := snapshot(b, g)
		b.StartTimer()
		entries, err := fs.ReadDir(s.FS, "apps")
		if err != nil || len(entries) != 10_000 {
			b.Fatal(len(entries), err)
		}
		for _, e := range entries {
			if e.(interface{ ContentID() string }).ContentID() == "" {
				b.Fatal("no content id")
			}
		}
	}
}

// BenchmarkFetchOneChanged: commit one change of 10,000 files, and fetch it.
func BenchmarkFetchOneChanged(b *testing.B) {
	for name, open := range map[string]func(*testing.B, *gittest.Repo) *Git{
		"http": benchGit,
		"file": func(b *testing.B, repo *gittest.Repo) *Git {
			return openGit(b, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Branch: "main", Dir: filepath.Join(b.TempDir(), "clone")})
		},
	} {
		b.Run(name, func(b *testing.B) {
			repo := tenThousand(b)
			g := open(b, repo)
			snapshot(b, g)
			n := 0
			for b.Loop() {
				b.StopTimer()
				n++
				changeOne(repo, n)
				b.StartTimer()
				snapshot(b, g)
			}
		})
	}
}

// BenchmarkReadAll: list and read 10,000 files of a fresh snapshot.
func BenchmarkReadAll(b *testing.B) {
	repo := tenThousand(b)
	g := benchGit(b, repo)
	snapshot(b, g)
	for b.Loop() {
		b.StopTimer()
		g.last = nil
		s := snapshot(b, g)
		b.StartTimer()
		entries, err := fs.ReadDir(s.FS, "apps")
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range entries {
			if _, err := fs.ReadFile(s.FS, "apps/"+e.Name()); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkDirectoryLook: read a directory of 10,000 files.
func BenchmarkDirectoryLook(b *testing.B) {
	repo := tenThousand(b)
	repo.Git("fetch", "--quiet", "origin", "main")
	repo.Git("reset", "--quiet", "--hard", "FETCH_HEAD")
	d := openDirectory(b, repo.Work)
	for b.Loop() {
		snapshot(b, d)
	}
}

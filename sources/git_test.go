package sources

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

func openGit(t testing.TB, o GitOptions) *Git {
	t.Helper()
	g, err := NewGit(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func snapshot(t testing.TB, s Source) *Snapshot {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// fails looks, and wants an error of that kind.
func fails(t testing.TB, s Source, kind error) error {
	t.Helper()
	snap, err := s.Snapshot(t.Context())
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, %v; want an error that is %q", snap, err, kind)
	}
	return err
}

func wantFile(t testing.TB, s *Snapshot, name, content string) {
	t.Helper()
	got, err := fs.ReadFile(s.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Errorf("%s holds %q, want %q", name, got, content)
	}
}

func wantRevision(t testing.TB, s *Snapshot, commit, ref string) {
	t.Helper()
	if s.Revision.ID != commit || s.Revision.Ref != ref {
		t.Errorf("revision is %s of %q, want %s of %q", s.Revision.ID, s.Revision.Ref, commit, ref)
	}
}

func writeFile(t testing.TB, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func secretFile(t testing.TB, content string) secret.Ref {
	t.Helper()
	return secret.Ref{File: writeFile(t, filepath.Join(t.TempDir(), "secret"), content)}
}

// transports are the ways to the same repository; each must behave alike.
func transports(t *testing.T, run func(t *testing.T, repo *gittest.Repo, o GitOptions)) {
	const password = "correct horse"
	for name, serve := range map[string]func(t *testing.T, r *gittest.Repo) GitOptions{
		"https": func(t *testing.T, r *gittest.Repo) GitOptions {
			s := r.Serve(t, gittest.HTTP{User: "ada", Password: password, TLS: true})
			ca := writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), string(s.CA))
			return GitOptions{URL: s.Repo, Auth: Auth{Username: "ada", Password: secretFile(t, password+"\n"), CAFile: ca}}
		},
		"http": func(t *testing.T, r *gittest.Repo) GitOptions {
			return GitOptions{URL: r.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true}
		},
		"ssh": func(t *testing.T, r *gittest.Repo) GitOptions {
			s := r.ServeSSH(t)
			return GitOptions{URL: s.Repo, Auth: Auth{Key: secret.Ref{File: s.KeyFile}, KnownHosts: s.KnownHosts}}
		},
		"file": func(t *testing.T, r *gittest.Repo) GitOptions {
			return GitOptions{URL: "file://" + r.Bare, AllowLocal: true}
		},
		"work tree": func(t *testing.T, r *gittest.Repo) GitOptions {
			return GitOptions{URL: "file://" + r.Work, AllowLocal: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t)
			o := serve(t, repo)
			o.Dir = filepath.Join(t.TempDir(), "clone")
			o.Timeout = time.Minute
			run(t, repo, o)
		})
	}
}

func TestGitFollowsABranch(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		first := repo.Commit("shop: begin\n\nA body.", map[string]string{"apps/cart.yaml": "one", "README": "read me"})
		o.Branch = "main"
		g := openGit(t, o)
		a := snapshot(t, g)
		wantRevision(t, a, first, "main")
		wantFile(t, a, "apps/cart.yaml", "one")
		if a.Revision.Author != "Ada Lovelace" || a.Revision.Subject != "shop: begin" || time.Since(a.Revision.Time).Abs() > time.Hour {
			t.Errorf("revision is %+v", a.Revision)
		}
		if again := snapshot(t, g); again != a {
			t.Error("nothing moved, and the snapshot is another")
		}
		second := repo.Commit("shop: two", map[string]string{"apps/cart.yaml": "two"})
		b := snapshot(t, g)
		wantRevision(t, b, second, "main")
		wantFile(t, b, "apps/cart.yaml", "two")
		wantFile(t, b, "README", "read me")

		forced := repo.ForcePush(1, "shop: other", map[string]string{"apps/cart.yaml": "three"})
		c := snapshot(t, g)
		wantRevision(t, c, forced, "main")
		wantFile(t, c, "apps/cart.yaml", "three")
		wantFile(t, a, "apps/cart.yaml", "one")
		wantFile(t, b, "apps/cart.yaml", "two")
	})
}

// A commit may claim any date; what is told of it can be written down.
func TestDatesOfCommitsCanBeWrittenDown(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"app.yaml": "id: /a\n"})
	tree := repo.Git("rev-parse", "HEAD^{tree}")
	for date, want := range map[string]string{
		"1700000000 +2400":          "2023-11-14T22:13:20Z",
		"1700000000 -9999":          "2023-11-14T22:13:20Z",
		"253402300800 +0000":        "9999-12-31T23:59:59Z",
		"9223372036854775807 +0000": "1970-01-01T00:00:00Z", // beyond what Go counts
		"0 +0000":                   "1970-01-01T00:00:00Z",
	} {
		commit := "tree " + tree + "\nauthor Ada <ada@example.com> " + date + "\ncommitter Ada <ada@example.com> " + date + "\n\nodd\n"
		repo.BareGit("update-ref", "refs/heads/main", repo.GitInput(commit, "hash-object", "-t", "commit", "-w", "--stdin", "--literally"))
		g, err := NewGit(GitOptions{URL: "file://" + repo.Bare, AllowLocal: true})
		if err != nil {
			t.Fatal(err)
		}
		s, err := g.Snapshot(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", date, err)
		}
		told, err := json.Marshal(s.Revision)
		if err != nil || !strings.Contains(string(told), want) {
			t.Errorf("%s: %s, %v, want %s", date, told, err, want)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}

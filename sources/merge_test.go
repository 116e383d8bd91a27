package sources

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// listing is what a snapshot has, as git ls-tree lists it.
func listing(t interface{ Fatal(...any) }, s *Snapshot) string {
	var lines []string
	err := fs.WalkDir(s.FS, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		mode := modeFile
		if info.Mode()&0o111 != 0 {
			mode = modeExecutable
		}
		lines = append(lines, fmt.Sprintf("%s %s %s", mode, e.(interface{ ContentID() string }).ContentID(), name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// work is a repository whose commits are made of whole trees.
type work struct {
	dir string
	n   int
}

func (w *work) git(t interface{ Fatal(...any) }, args ...string) (out string, code int) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = w.dir, append(testenv.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	text, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && (!errors.As(err, &failed) || failed.ExitCode() > 1) {
		t.Fatal(args, err, string(text))
	}
	if failed != nil {
		code = failed.ExitCode()
	}
	return strings.TrimSpace(string(text)), code
}

// file is one of a tree that is drawn.
type file struct {
	text string
	exec bool
}

func (w *work) commit(t interface{ Fatal(...any) }, parent string, tree map[string]file) string {
	var input strings.Builder
	w.n++
	fmt.Fprintf(&input, "commit refs/heads/n-%d\ncommitter a <a@b> %d +0000\ndata 1\nx\n", w.n, 1700000000+w.n)
	if parent != "" {
		fmt.Fprintf(&input, "from %s\ndeleteall\n", parent)
	}
	for name, f := range tree {
		mode := modeFile
		if f.exec {
			mode = modeExecutable
		}
		fmt.Fprintf(&input, "M %s inline %s\ndata %d\n%s\n", mode, name, len(f.text), f.text)
	}
	cmd := exec.Command("git", "fast-import", "--quiet")
	cmd.Dir, cmd.Env, cmd.Stdin = w.dir, testenv.Environ(), strings.NewReader(input.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	id, _ := w.git(t, "rev-parse", fmt.Sprintf("n-%d", w.n))
	return id
}

// A merge is git's, on whatever trees: the same tree, or conflicts where git has some.
func TestAMergeIsThatOfGit(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	w := &work{dir: t.TempDir()}
	w.git(t, "init", "-q", "--bare")
	c := openCommits(t, GitOptions{URL: "file://" + w.dir, AllowLocal: true})
	names := []string{"a", "b", "d/a", "d/b", "d/e/a", "a/x", "d/e"}
	// In order and each once: of lines that are repeated or move, two ways to find what
	// differs may take other ones for the same, and so may conflict elsewhere.
	lines := rapid.Map(rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6", "7", "8"}), 0, 8, rapid.ID), func(of []string) []string {
		return slices.Sorted(slices.Values(of))
	})
	text := rapid.Custom(func(t *rapid.T) file {
		return file{strings.Join(lines.Draw(t, "lines"), "\n") + rapid.SampledFrom([]string{"\n", "", "\r\n"}).Draw(t, "end"), rapid.Bool().Draw(t, "exec")}
	})
	merged, conflicting := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		set := func(tree map[string]file, name string, f file) {
			for other := range tree { // a file and a folder of one name
				if strings.HasPrefix(other, name+"/") || strings.HasPrefix(name, other+"/") {
					delete(tree, other)
				}
			}
			tree[name] = f
		}
		base := map[string]file{"kept": {"x", false}, "kept-too/x": {"y", false}}
		for _, name := range names {
			if rapid.Bool().Draw(t, "there") {
				set(base, name, text.Draw(t, name))
			}
		}
		side := func(what string) map[string]file {
			tree := map[string]file{}
			for name, f := range base {
				tree[name] = f
			}
			for range rapid.IntRange(1, 3).Draw(t, what) {
				name := rapid.SampledFrom(names).Draw(t, "name")
				was, there := tree[name]
				switch rapid.SampledFrom([]string{"edit", "edit", "set", "delete", "mode"}).Draw(t, "how") {
				case "edit":
					of := strings.SplitAfter(was.text, "\n")
					at := rapid.IntRange(0, len(of)).Draw(t, "at")
					was.text = strings.Join(slices.Insert(of, at, what+"\n"), "")
					set(tree, name, was)
				case "set":
					set(tree, name, text.Draw(t, name))
				case "delete":
					delete(tree, name)
				case "mode":
					if there {
						was.exec = !was.exec
						tree[name] = was
					}
				}
			}
			return tree
		}
		from := w.commit(t, "", base)
		ours, theirs := w.commit(t, from, side("ours")), w.commit(t, from, side("theirs"))
		out, code := w.git(t, "-c", "merge.renames=false", "merge-tree", "--write-tree", "--name-only", ours, theirs)
		got, err := c.Fetch(t.Context(), []string{from, ours, theirs})
		if err != nil {
			t.Fatal(err)
		}
		s, conflicts, err := Merge(got[from], got[ours], got[theirs])
		if err != nil {
			t.Fatal(err)
		}
		if (code != 0) != (s == nil) || (s == nil) != (len(conflicts) > 0) {
			t.Fatalf("git says %d:\n%s\nwe have conflicts in %q", code, out, conflicts)
		}
		if code != 0 {
			conflicting++
			return
		}
		merged++
		tree, _, _ := strings.Cut(out, "\n")
		want, _ := w.git(t, "ls-tree", "-r", "--format=%(objectmode) %(objectname) %(path)", tree)
		wanted := strings.Split(want, "\n")
		slices.Sort(wanted)
		if got := listing(t, s); got != strings.TrimSpace(strings.Join(wanted, "\n")) {
			t.Fatalf("merged\n%s\nby git\n%s", got, strings.Join(wanted, "\n"))
		}
	})
	if merged < 20 || conflicting < 20 {
		t.Errorf("%d merges, %d conflicts: it proves little", merged, conflicting)
	}
}

// Of a file that both sides have added, an empty one gives way, as in git.
func TestAMergeOfAnEmptyFile(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	base := repo.Commit("begin", map[string]string{"a": "1\n"})
	repo.Branch("change")
	head := repo.Commit("change", map[string]string{"b": "text\n", "c": "theirs\n"})
	repo.Switch("main")
	tip := repo.Commit("main", map[string]string{"b": ""})
	other := repo.Commit("more", map[string]string{"c": "ours\n"})
	c := openCommits(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true})
	got := fetched(t, c, base, head, tip, other)
	s, conflicts, err := Merge(got[base], got[tip], got[head])
	if err != nil || s == nil {
		t.Fatal(conflicts, err)
	}
	wantFile(t, s, "b", "text\n")
	if _, conflicts, err = Merge(got[base], got[other], got[head]); err != nil || !slices.Equal(conflicts, []string{"c"}) {
		t.Errorf("conflicts %q, %v", conflicts, err)
	}
}

// What is the same on both sides is not read, and is what it was to a reader.
func TestAMergeReadsOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	files := many()
	files["both.json"] = "1\n2\n3\n4\n5\n"
	base := repo.Commit("begin", files)
	repo.Branch("change")
	head := repo.Commit("change", map[string]string{"apps-1/app-001.yaml": "changed", "both.json": "one\n2\n3\n4\n5\n", "new/x.json": "x"})
	repo.Switch("main")
	tip := repo.Commit("main", map[string]string{"apps-2/app-002.yaml": "changed", "both.json": "1\n2\n3\n4\nfive\n"})
	repo.BareGit("config", "uploadpack.allowReachableSHA1InWant", "true")
	c := openCommits(t, GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true})
	got := fetched(t, c, base, head, tip)
	s, conflicts, err := Merge(got[base], got[tip], got[head])
	if err != nil || len(conflicts) > 0 {
		t.Fatal(conflicts, err)
	}
	id := func(s *Snapshot, name string) string {
		t.Helper()
		info, err := fs.Stat(s.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		return info.(interface{ ContentID() string }).ContentID()
	}
	for name, from := range map[string]string{"apps-0": base, "apps-1": head, "apps-2": tip, "new": head} {
		if id(s, name) != id(got[from], name) {
			t.Errorf("%s is not what it was", name)
		}
	}
	wantFile(t, s, "both.json", "one\n2\n3\n4\nfive\n")
	wantFile(t, s, "apps-0/app-003.yaml", files["apps-0/app-003.yaml"])
	wantFile(t, s, "apps-2/app-002.yaml", "changed")
	if s.Revision.ID != head {
		t.Errorf("revision %s", s.Revision.ID)
	}
	again, _, err := Merge(got[base], got[tip], got[head])
	if err != nil || id(again, ".") != id(s, ".") || id(s, ".") == id(got[head], ".") {
		t.Error("the same merge has another id, or another one the same")
	}
	sub, err := fs.Sub(s.FS, "apps-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Merge(got[base], &Snapshot{FS: sub}, got[head]); err == nil {
		t.Error("a part of a snapshot is merged")
	}
}

// What both sides change is bounded before it is merged.
func TestAMergeIsBounded(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	base := repo.Commit("begin", map[string]string{"a": strings.Repeat("x\n", 3000), "b": strings.Repeat("x\n", 3000)})
	repo.Branch("change")
	head := repo.Commit("change", map[string]string{"a": "y\n" + strings.Repeat("x\n", 3000), "b": "y\n" + strings.Repeat("x\n", 3000)})
	repo.Switch("main")
	tip := repo.Commit("main", map[string]string{"a": strings.Repeat("x\n", 3000) + "z\n", "b": strings.Repeat("x\n", 3000) + "z\n"})
	for name, c := range map[string]struct {
		limits Limits
		fails  bool
	}{"bytes": {Limits{TotalBytes: 20_000}, true}, "enough": {Limits{TotalBytes: 60_000}, false}} {
		t.Run(name, func(t *testing.T) {
			o := GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Limits: c.limits, Dir: filepath.Join(t.TempDir(), "clone")}
			if err := os.MkdirAll(o.Dir, 0o700); err != nil {
				t.Fatal(err)
			}
			got := fetched(t, openCommits(t, o), base, head, tip)
			_, _, err := Merge(got[base], got[tip], got[head])
			if errors.Is(err, ErrLimit) != c.fails {
				t.Errorf("%v", err)
			}
		})
	}
}

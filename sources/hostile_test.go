package sources

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

type refuser interface{ Refused() []RefusedEntry }

func refused(t testing.TB, fsys fs.FS) map[string]string {
	t.Helper()
	r, ok := fsys.(refuser)
	if !ok {
		t.Fatalf("%T has no method Refused", fsys)
	}
	out := map[string]string{}
	for _, e := range r.Refused() {
		out[e.Name] = e.Reason
	}
	return out
}

// names are all paths that a walk of the file system finds.
func names(t testing.TB, fsys fs.FS) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(fsys, ".", func(name string, _ fs.DirEntry, err error) error {
		if name != "." {
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rawTree writes a tree object as it is given, past git's own checks.
func rawTree(t testing.TB, repo *gittest.Repo, entries ...string) string {
	t.Helper()
	return repo.GitInput(strings.Join(entries, ""), "hash-object", "-t", "tree", "-w", "--stdin", "--literally")
}

func rawEntry(mode, name, hash string) string {
	binary, _ := hex.DecodeString(hash)
	return mode + " " + name + "\x00" + string(binary)
}

// commitTree makes a tree what stands on main.
func commitTree(repo *gittest.Repo, tree string) {
	commit := repo.BareGit("commit-tree", "-m", "hostile", tree)
	repo.BareGit("update-ref", "refs/heads/main", commit)
}

func TestHostileEntriesAreRefusedAndTold(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for name, c := range map[string]struct {
		mode, entry   string
		told, because string
	}{
		"symlink":         {"120000", "link", "link", "is a symlink: not read"},
		"submodule":       {"160000", "module", "module", "is a submodule: not read"},
		"parent":          {"100644", "..", "..", "is not a valid file name"},
		"parent folder":   {"40000", "..", "..", "is not a valid file name"},
		"self":            {"100644", ".", ".", "is not a valid file name"},
		"git":             {"40000", ".git", ".git", "reserved for git"},
		"git, other case": {"40000", ".GiT", ".GiT", "reserved for git"},
		"slash":           {"100644", "a/b", "a/b", "slash in its name"},
		"leading slash":   {"100644", "/etc", "/etc", "slash in its name"},
		"newline":         {"100644", "a\nb", `a\nb`, "control characters"},
		"escape":          {"100644", "\x1b[2J", `\x1b[2J`, "control characters"},
		"not UTF-8":       {"100644", "\xff", `\xff`, "not UTF-8"},
		"twice":           {"100644", "good.yaml", "good.yaml", "occurs twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gittest.New(t)
			blob := repo.GitInput("x", "hash-object", "-w", "--stdin")
			folder := rawTree(t, repo, rawEntry("100644", "inside", blob))
			hash := blob
			switch c.mode {
			case "40000":
				hash = folder
			case "160000":
				hash = strings.Repeat("11", 20)
			}
			hostile := rawTree(t, repo, rawEntry("100644", "good.yaml", blob), rawEntry(c.mode, c.entry, hash))
			top := rawTree(t, repo, rawEntry("100644", "top.yaml", blob), rawEntry("40000", "sub", hostile))
			commitTree(repo, top)
			for _, url := range []string{repo.Serve(t, gittest.HTTP{}).Repo, "file://" + repo.Bare} {
				s := snapshot(t, openGit(t, GitOptions{URL: url, AllowHTTP: true, AllowLocal: true}))
				want := []string{"sub", "sub/good.yaml", "top.yaml"}
				if name == "twice" {
					want = []string{"sub", "top.yaml"}
				}
				if got := names(t, s.FS); strings.Join(got, ",") != strings.Join(want, ",") {
					t.Errorf("%s: walk finds %q, want %q", url, got, want)
				}
				if r := refused(t, s.FS); !strings.Contains(r["sub/"+c.told], c.because) {
					t.Errorf("%s: refused are %q, want sub/%s because %q", url, r, c.told, c.because)
				}
				sub, err := fs.Sub(s.FS, "sub")
				if err != nil {
					t.Fatal(err)
				}
				if r := refused(t, sub); !strings.Contains(r[c.told], c.because) {
					t.Errorf("%s: refused of the folder are %q", url, r)
				}
				if f, err := s.FS.Open("sub/" + c.entry); err == nil {
					t.Errorf("%s: what is refused can be opened: %v", url, f)
				}
			}
		})
	}
}

func TestOpeningWhatIsRefusedSaysWhy(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(repo.Work, "link")); err != nil {
		t.Fatal(err)
	}
	repo.Commit("link", nil)
	s := snapshot(t, openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true}))
	if _, err := fs.ReadFile(s.FS, "link"); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "symlink") {
		t.Errorf("got %v", err)
	}
}

func TestHostileHugeFile(t *testing.T) {
	transports(t, func(t *testing.T, repo *gittest.Repo, o GitOptions) {
		huge := strings.Repeat("0", 300_000)
		repo.Commit("huge", map[string]string{"apps/huge.yaml": huge, "apps/small.yaml": "x"})
		o.Limits = Limits{FileBytes: 100_000}
		s := snapshot(t, openGit(t, o))
		wantFile(t, s, "apps/small.yaml", "x")
		if _, err := fs.ReadFile(s.FS, "apps/huge.yaml"); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "100000") {
			t.Errorf("got %v", err)
		}
		if got := names(t, s.FS); len(got) != 3 {
			t.Errorf("a file that is too large should be listed: %q", got)
		}
		// The limit was raised: what was left out comes.
		o.Limits, o.Dir = Limits{FileBytes: 400_000}, o.Dir+"2"
		wantFile(t, snapshot(t, openGit(t, o)), "apps/huge.yaml", huge)
	})
}

func TestHugeFileIsLeftOnAServerThatCan(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	repo.BareGit("config", "uploadpack.allowFilter", "true")
	random := make([]byte, 0, 300_000)
	for len(random) < 300_000 { // does not compress
		sum := sha1.Sum(random)
		random = append(random, sum[:]...)
	}
	repo.Commit("huge", map[string]string{"huge": string(random), "small": "x"})
	o := GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true, Dir: t.TempDir(), Limits: Limits{FileBytes: 100_000, FetchBytes: 100_000}}
	g := openGit(t, o)
	s := snapshot(t, g)
	wantFile(t, s, "small", "x")
	if _, err := fs.ReadFile(s.FS, "huge"); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
	if again := snapshot(t, g); again != s {
		t.Error("what was left out is taken for damage")
	}
	repo.Commit("huge", map[string]string{"small": "y"})
	wantFile(t, snapshot(t, g), "small", "y")
	o.Limits = Limits{}
	wantFile(t, snapshot(t, reopen(t, g, o)), "huge", string(random))
}

func TestHostilePackIsRefusedBeforeItIsIndexed(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("bomb", map[string]string{"zeros": strings.Repeat("\x00", 5<<20)}) // 5 KB on the wire
	url := repo.Serve(t, gittest.HTTP{}).Repo
	err := fails(t, openGit(t, GitOptions{URL: url, AllowHTTP: true, Limits: Limits{ObjectBytes: 1 << 20, FileBytes: 8 << 20}}), ErrLimit)
	if !strings.Contains(err.Error(), "5242880") {
		t.Errorf("the error does not say how large the object is: %v", err)
	}
	fails(t, openGit(t, GitOptions{URL: url, AllowHTTP: true, Limits: Limits{FetchBytes: 2000}}), ErrLimit)
}

func varint(n int) []byte {
	var out []byte
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

// packed is an object of a pack: type and size, what a delta refers to, content.
func packed(kind, size int, reference, content []byte) []byte {
	var out bytes.Buffer
	out.Write(headOf(kind, size))
	out.Write(reference)
	z := zlib.NewWriter(&out)
	z.Write(content) //nolint:errcheck // to memory
	z.Close()        //nolint:errcheck
	return out.Bytes()
}

func TestHostileTooManyFiles(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	blob := repo.GitInput("x", "hash-object", "-w", "--stdin")
	var list strings.Builder
	for i := range 300 {
		fmt.Fprintf(&list, "100644 blob %s\tf%d\n", blob, i)
	}
	many := repo.GitInput(list.String(), "mktree")
	few := repo.GitInput("100644 blob "+blob+"\tone\n", "mktree")
	commitTree(repo, repo.GitInput(fmt.Sprintf("040000 tree %s\tfew\n040000 tree %s\tmany\n", few, many), "mktree"))
	s := snapshot(t, openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Limits: Limits{Files: 200}}))
	if _, err := fs.ReadDir(s.FS, "many"); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
	wantFile(t, s, "few/one", "x")
	if r := refused(t, s.FS); !strings.Contains(r["many"], "cannot be listed") {
		t.Errorf("a folder that cannot be listed is not told: %q", r)
	}
}

// Ten folders of ten folders of … are ten billion files from eleven objects.
func TestHostileTreeBomb(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	at := repo.GitInput("x", "hash-object", "-w", "--stdin")
	mode, kind := "100644", "blob"
	for range 10 {
		var list strings.Builder
		for i := range 10 {
			fmt.Fprintf(&list, "%s %s %s\t%d\n", mode, kind, at, i)
		}
		at = repo.GitInput(list.String(), "mktree")
		mode, kind = "040000", "tree"
	}
	commitTree(repo, at)
	s := snapshot(t, openGit(t, GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true, Limits: Limits{Files: 5000}}))
	err := fs.WalkDir(s.FS, ".", func(_ string, _ fs.DirEntry, err error) error { return err })
	if !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
	if len(refused(t, s.FS)) == 0 {
		t.Error("what cannot be listed is not told")
	}
}

func TestHostileNesting(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("deep", map[string]string{strings.Repeat("d/", 100) + "f": "x", "g": "y"})
	s := snapshot(t, openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true}))
	err := fs.WalkDir(s.FS, ".", func(_ string, _ fs.DirEntry, err error) error { return err })
	if !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
	wantFile(t, s, "g", "y")
}

func TestTotalBytesOfASnapshot(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("three", map[string]string{"a": "12345", "b": "67890", "c": "abcde"})
	s := snapshot(t, openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Limits: Limits{TotalBytes: 12}}))
	for range 3 { // the same again costs nothing
		wantFile(t, s, "a", "12345")
		wantFile(t, s, "b", "67890")
	}
	if _, err := fs.ReadFile(s.FS, "c"); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
}

func TestMalformedTreeIsAnErrorNotAnEmptyFolder(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	blob := repo.GitInput("x", "hash-object", "-w", "--stdin")
	bad := rawTree(t, repo, "100644 cut off\x00short")
	commitTree(repo, rawTree(t, repo, rawEntry("40000", "bad", bad), rawEntry("100644", "good", blob)))
	g := openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true})
	s, err := g.Snapshot(t.Context())
	if err == nil {
		_, err = fs.ReadDir(s.FS, "bad")
	}
	if err == nil || !strings.Contains(err.Error(), "malformed") {
		t.Errorf("got %v", err)
	}
}

// An entry that lies about its object's kind is what was pushed, not damage:
// taking it for that would fetch anew at each look.
func TestEntryOfAnotherKind(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	blob := repo.GitInput("x", "hash-object", "-w", "--stdin")
	folder := rawTree(t, repo, rawEntry("100644", "inside", blob))
	commitTree(repo, rawTree(t, repo, rawEntry("100644", "file", folder), rawEntry("100644", "good", blob)))
	g := openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true})
	s, err := g.Snapshot(t.Context())
	if err == nil {
		_, err = fs.ReadFile(s.FS, "file")
		wantFile(t, s, "good", "x")
	}
	if err == nil || !strings.Contains(err.Error(), "is a tree and its folder says") {
		t.Errorf("got %v", err)
	}
	if again := snapshot(t, g); again != s {
		t.Error("it is taken for damage")
	}
}

func TestSnapshotIsAFileSystem(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	content := map[string]string{"a.yaml": "1", "a/b.yaml": "2", "a/c/d.json": "3", "a.b/e": "", "z": strings.Repeat("z", 5000)}
	repo.Commit("files", content)
	dir := openDirectory(t, repo.Work)
	var expected []string
	for name := range content {
		expected = append(expected, name)
	}
	for _, source := range []Source{openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true}), dir} {
		s := snapshot(t, source)
		if err := fstest.TestFS(s.FS, expected...); err != nil {
			t.Errorf("%s: %v", source, err)
		}
		sub, err := fs.Sub(s.FS, "a")
		if err != nil {
			t.Fatal(err)
		}
		if err := fstest.TestFS(sub, "b.yaml", "c/d.json"); err != nil {
			t.Errorf("%s: folder: %v", source, err)
		}
	}
}

func contentIDs(t testing.TB, s *Snapshot) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(s.FS, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && name != "." {
			out[name] = e.(interface{ ContentID() string }).ContentID()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestContentIDsTellWhatChanged(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("one", map[string]string{"same/a": "1", "same/b": "2", "other/c": "3", "copy/a": "1", "copy/b": "2"})
	for _, source := range []Source{openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true}), openDirectory(t, repo.Work)} {
		repo.Commit("back", map[string]string{"other/c": "3"})
		before := contentIDs(t, snapshot(t, source))
		repo.Commit("two", map[string]string{"other/c": "4"})
		after := contentIDs(t, snapshot(t, source))
		for name, id := range after {
			if changed := id != before[name]; changed != (name == "other" || name == "other/c") {
				t.Errorf("%s: %s was %s, is %s", source, name, before[name], id)
			}
		}
		if after["same"] != after["copy"] || after["same"] == after["other"] || after["same/a"] == after["same/b"] {
			t.Errorf("%s: ids do not follow content: %v", source, after)
		}
	}
}

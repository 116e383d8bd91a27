package sources

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// What a small repository can grow to in memory is measured in a process of its
// own, by the most that the system ever gave it.

const measureEnv = "PACER_TEST_MEASURE"

// measured is what a process found that read a source once: its snapshot's files,
// or its error, and how much memory that took.
type measured struct {
	Error   string
	Limit   bool // the error is ErrLimit
	Files   map[string]string
	Subject string
	Author  string
	Grown   int64
}

// measure reads a source in a process of its own.
func measure(t *testing.T, o GitOptions) measured {
	t.Helper()
	options, err := json.Marshal(map[string]string{"url": o.URL, "ref": o.Ref})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMeasureChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), measureEnv+"="+string(options), "GOGC=100", "GOMAXPROCS=2")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var m measured
	line, _, _ := bytes.Cut(out, []byte("\n"))
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("grown by %d MiB", m.Grown>>20)
	return m
}

// TestMeasureChild is the process of measure.
func TestMeasureChild(t *testing.T) {
	text := os.Getenv(measureEnv)
	if text == "" {
		return // it is run by the tests that measure memory
	}
	var options map[string]string
	if err := json.Unmarshal([]byte(text), &options); err != nil {
		t.Fatal(err)
	}
	before := peak(t)
	var m measured
	g, err := NewGit(GitOptions{URL: options["url"], Ref: options["ref"], AllowHTTP: true, AllowLocal: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.Snapshot(t.Context())
	if err == nil {
		m.Subject, m.Author = s.Revision.Subject, s.Revision.Author
		m.Files = map[string]string{}
		err = fs.WalkDir(s.FS, ".", func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := fs.ReadFile(s.FS, name)
			if errors.Is(err, ErrLimit) {
				content, err = []byte("over the limit"), nil
			}
			m.Files[name] = string(content)
			return err
		})
	}
	if err != nil {
		m.Error, m.Limit = err.Error(), errors.Is(err, ErrLimit)
	}
	m.Grown = peak(t) - before
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(string(out))
}

// peak is the most memory that this process ever had.
func peak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	kib, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

const mebi = 1 << 20

func (m measured) wantBelow(t *testing.T, mebibytes int64) {
	t.Helper()
	if m.Grown > mebibytes*mebi {
		t.Errorf("it took %d MiB, at most %d are allowed", m.Grown/mebi, mebibytes)
	}
}

// bombed is a server that answers with a pack of objects beside a commit of one
// manifest. The commit is returned.
func bombed(t *testing.T, objects ...[]byte) (*front, *gittest.Repo) {
	t.Helper()
	repo := gittest.New(t)
	wanted := repo.Commit("begin", map[string]string{"app.yaml": "id: /a\n"})
	server := serveFront(t, repo)
	all := append([][]byte{
		whole(plumbing.CommitObject, raw(t, repo, plumbing.CommitObject, wanted)),
		whole(plumbing.TreeObject, raw(t, repo, plumbing.TreeObject, repo.Git("rev-parse", "HEAD^{tree}"))),
		whole(plumbing.BlobObject, []byte("id: /a\n")),
	}, objects...)
	server.answerWith(1, wanted, packOf(all...))
	return server, repo
}

// zeros is an object of so many zeros.
func zeros(size int) []byte {
	var out bytes.Buffer
	out.Write(headOf(int(plumbing.BlobObject), size))
	z := zlib.NewWriter(&out)
	io.CopyN(z, zero{}, int64(size)) //nolint:errcheck // to memory
	z.Close()                        //nolint:errcheck
	return out.Bytes()
}

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// headOf is the type and size of an object.
func headOf(kind, size int) []byte {
	first := byte(kind<<4 | size&0xf)
	if size >>= 4; size == 0 {
		return []byte{first}
	}
	return append([]byte{first | 0x80}, varint(size)...)
}

// chained is a blob of zeros, and deltas that each copy what was made before.
func chained(size, deltas int) [][]byte {
	out := [][]byte{zeros(size)}
	delta := append(varint(size), varint(size)...)
	for left := size; left > 0; left -= 0xffffff {
		n := min(left, 0xffffff)
		delta = append(delta, 0xf0, byte(n), byte(n>>8), byte(n>>16)) // from offset 0
	}
	for range deltas {
		back := len(out[len(out)-1])
		out = append(out, stored(plumbing.OFSDeltaObject, distance(back), delta))
	}
	return out
}

// distance is how far before a delta its base stands.
func distance(n int) []byte {
	out := []byte{byte(n & 0x7f)}
	for n >>= 7; n > 0; n >>= 7 {
		n--
		out = append([]byte{0x80 | byte(n&0x7f)}, out...)
	}
	return out
}

// A pack of 125 KB that makes 17 GiB is refused before anything of it is made.
func TestPackOfDeltasThatMakesGigabytes(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	for name, c := range map[string]struct{ size, deltas int }{
		"large objects": {126_000_000, 140},
		"small objects": {4_000_000, 4400},
		"small files":   {60_000, 300_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := bombed(t, chained(c.size, c.deltas)...)
			m := measure(t, GitOptions{URL: server.Repo})
			if !m.Limit || !strings.Contains(m.Error, "inflates to more than") {
				t.Errorf("got %q", m.Error)
			}
			m.wantBelow(t, 64)
		})
	}
}

// What is below the limit of all together is refused by the length of its chain.
func TestChainOfDeltasThatIsTooLong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ size, deltas int }{
		"deltas": {100, 5000}, "bytes": {4_000_000, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := bombed(t, chained(c.size, c.deltas)...)
			m := measure(t, GitOptions{URL: server.Repo})
			if !m.Limit || !strings.Contains(m.Error, "chains of") {
				t.Errorf("got %q", m.Error)
			}
			m.wantBelow(t, 64)
		})
	}
}

// Files of more than may be read cost nothing but the time to inflate them.
func TestLargeFilesAreNotKept(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	blob := zeros(120_000_000)
	server, repo := bombed(t, blob, blob, blob, blob)
	m := measure(t, GitOptions{URL: server.Repo})
	if m.Error != "" || len(m.Files) != 1 || m.Files["app.yaml"] != "id: /a\n" {
		t.Errorf("got %+v", m)
	}
	m.wantBelow(t, 32)

	// The same from real servers.
	repo.Commit("large", map[string]string{"large": strings.Repeat("\x00", 40_000_000), "large-too": strings.Repeat("\x01", 20_000_000)})
	for _, url := range []string{"file://" + repo.Bare, "file://" + repo.Work, repo.Serve(t, gittest.HTTP{}).Repo} {
		m := measure(t, GitOptions{URL: url})
		if m.Error != "" || m.Files["app.yaml"] != "id: /a\n" || m.Files["large"] != "over the limit" || m.Files["large-too"] != "over the limit" {
			t.Errorf("%s: got %+v", url, m)
		}
		m.wantBelow(t, 32)
	}
}

// What a file that is read builds on is held, though it is too large to be read.
func TestFileThatBuildsOnALargeOne(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	var text strings.Builder
	for i := range 120_000 {
		fmt.Fprintf(&text, "line %x\n", sha1.Sum(binary.BigEndian.AppendUint32(nil, uint32(i))))
	}
	repo.Commit("both", map[string]string{"x/a": text.String(), "x/b": text.String()[1_000_000:4_500_000]})
	repo.BareGit("repack", "-adfq", "--depth=50", "--window=50")
	if out := repo.BareGit("verify-pack", "-v", packIndex(t, repo)); !strings.Contains(out, "chain length = 1") {
		t.Fatalf("git stored no delta: %s", out)
	}
	for _, url := range []string{"file://" + repo.Bare, repo.Serve(t, gittest.HTTP{}).Repo} {
		o := GitOptions{URL: url, AllowHTTP: true, AllowLocal: true, Dir: t.TempDir(), Limits: Limits{FileBytes: 3_600_000}}
		g := openGit(t, o)
		for range 2 {
			s := snapshot(t, g)
			wantFile(t, s, "x/b", text.String()[1_000_000:4_500_000])
			if _, err := fs.ReadFile(s.FS, "x/a"); !errors.Is(err, ErrLimit) {
				t.Errorf("%s: the large file: %v", url, err)
			}
			if strings.HasPrefix(url, "http") {
				fsck(t, g, "missing blob")
			}
			g = reopen(t, g, o)
		}
	}
}

func packIndex(t *testing.T, repo *gittest.Repo) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repo.Bare, "objects/pack/*.idx"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return found[0]
}

func TestPackOfTooManyObjects(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	tiny := whole(plumbing.BlobObject, []byte("x"))
	t.Run("more than may be fetched", func(t *testing.T) {
		t.Parallel()
		server, _ := bombed(t, bytes.Repeat(tiny, 1))
		pack := append([]byte("PACK\x00\x00\x00\x02\x00\x1e\x84\x80"), bytes.Repeat(tiny, 2_000_000)...)
		server.answerWith(1, server.wanted, append(pack, make([]byte, 20)...))
		m := measure(t, GitOptions{URL: server.Repo})
		if !m.Limit || !strings.Contains(m.Error, "2000000 objects") {
			t.Errorf("got %q", m.Error)
		}
		m.wantBelow(t, 32)
	})
	t.Run("more than there are", func(t *testing.T) {
		t.Parallel()
		server, _ := bombed(t)
		server.answerWith(1, server.wanted, append([]byte("PACK\x00\x00\x00\x02\x00\x0f\x00\x00"), make([]byte, 20)...))
		m := measure(t, GitOptions{URL: server.Repo})
		if !strings.Contains(m.Error, "more than fit in it") {
			t.Errorf("got %q", m.Error)
		}
		m.wantBelow(t, 32)
	})
	t.Run("as many as may be fetched", func(t *testing.T) {
		t.Parallel()
		var content [4]byte
		objects := make([][]byte, 0, 400_000)
		for i := range cap(objects) {
			binary.BigEndian.PutUint32(content[:], uint32(i))
			objects = append(objects, stored(plumbing.BlobObject, nil, content[:]))
		}
		server, _ := bombed(t, objects...)
		m := measure(t, GitOptions{URL: server.Repo})
		if m.Error != "" || m.Files["app.yaml"] != "id: /a\n" {
			t.Errorf("got %+v", m)
		}
		m.wantBelow(t, 200) // of which the race detector takes most
	})
}

// stored is a small object that is not compressed, which is quicker to make.
func stored(kind plumbing.ObjectType, reference, content []byte) []byte {
	out := append(headOf(int(kind), len(content)), reference...)
	n := len(content)
	out = append(out, 0x78, 0x01, 1, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
	return binary.BigEndian.AppendUint32(append(out, content...), adler32.Checksum(content))
}

// A folder that is larger than can be held is refused, and so is one of more entries
// than are listed.
func TestFolderOfTooManyEntries(t *testing.T) {
	t.Parallel()
	repo := gittest.New(t)
	blob := repo.GitInput("x", "hash-object", "-w", "--stdin")
	var list strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&list, "100644 blob %s\tf%06d\n", blob, i)
	}
	many := repo.GitInput(list.String(), "mktree")
	commitTree(repo, repo.GitInput(fmt.Sprintf("100644 blob %s\tapp.yaml\n040000 tree %s\tmany\n", blob, many), "mktree"))
	s := snapshot(t, openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Limits: Limits{Files: 1000}}))
	if _, err := fs.ReadDir(s.FS, "many"); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
	wantFile(t, s, "app.yaml", "x")
	err := fails(t, openGit(t, GitOptions{URL: "file://" + repo.Bare, AllowLocal: true, Limits: Limits{ObjectBytes: 64 << 10, FileBytes: 64 << 10}}), ErrLimit)
	if !strings.Contains(err.Error(), many) {
		t.Errorf("the error does not name the folder: %v", err)
	}
}

// The texts of a commit are cut when they are read, whatever their size is, and fit
// to be shown.
func TestTextsOfACommitAreCut(t *testing.T) {
	testenv.Long(t)
	t.Parallel()
	repo := gittest.New(t)
	repo.Commit("begin", map[string]string{"app.yaml": "id: /a\n"})
	tree := repo.Git("rev-parse", "HEAD^{tree}")
	const when = " <ada@example.com> 1700000000 +0000\n"
	huge := strings.Repeat("é", 25_000_000)
	for name, c := range map[string]struct{ author, message, wantAuthor, wantSubject string }{
		"subject": {"Ada", huge, "Ada", strings.Repeat("é", maxShown/2) + "…"},
		"body":    {"Ada", "short\n\n" + huge[:mebi], "Ada", "short"},
		"author":  {strings.Repeat("A", 100_000), "short", strings.Repeat("A", maxShown) + "…", "short"},
		"control": {"A\x1bda\u202e", "a\x1b[2J\tb\xff\\c", `A\x1bda\u202e`, `a\x1b[2J\tb\xff\c`},
	} {
		commit := "tree " + tree + "\nauthor " + c.author + when + "committer Ada" + when + "\n" + c.message
		hash := repo.GitInput(commit, "hash-object", "-t", "commit", "-w", "--stdin", "--literally")
		repo.BareGit("update-ref", "refs/heads/main", hash)
		for _, url := range []string{"file://" + repo.Bare, repo.Serve(t, gittest.HTTP{}).Repo} {
			m := measure(t, GitOptions{URL: url})
			if m.Error != "" || m.Subject != c.wantSubject || m.Author != c.wantAuthor || m.Files["app.yaml"] != "id: /a\n" {
				t.Errorf("%s of %s: got error %.300q, author %.400q, subject %.400q", name, url, m.Error, m.Author, m.Subject)
			}
			m.wantBelow(t, 32)
		}
	}
	// A tag has a message too.
	tag := repo.GitInput("object "+repo.BareGit("rev-parse", "main")+"\ntype commit\ntag v1\ntagger Ada"+when+"\n"+huge, "hash-object", "-t", "tag", "-w", "--stdin", "--literally")
	repo.BareGit("update-ref", "refs/tags/v1", tag)
	m := measure(t, GitOptions{URL: repo.Serve(t, gittest.HTTP{}).Repo, Ref: "refs/tags/v1"})
	if m.Error != "" {
		t.Errorf("tag: got error %.300q", m.Error)
	}
	m.wantBelow(t, 32)
}

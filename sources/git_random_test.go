package sources

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// pushes makes random pushes to a repository.
type pushes struct {
	t       testing.TB
	random  *rand.Rand
	repo    *gittest.Repo
	commits []string
	holds   map[string]map[string]string // the files of each commit
	number  int
}

func newPushes(t testing.TB, seed uint64) *pushes {
	p := &pushes{t: t, random: rand.New(rand.NewPCG(seed, 0)), repo: gittest.New(t), holds: map[string]map[string]string{}}
	files := map[string]string{}
	for range 40 {
		files[p.name()] = p.content()
	}
	p.commit("", files)
	return p
}

func (p *pushes) name() string {
	return fmt.Sprintf("f%d/g%d/app-%d.yaml", p.random.IntN(3), p.random.IntN(3), p.random.IntN(12))[p.random.IntN(2)*3:]
}

// content shares lines with other contents, so that git makes deltas of it; one
// in ten has more bytes than may be read.
func (p *pushes) content() string {
	var out strings.Builder
	for i := range 12 {
		fmt.Fprintf(&out, "field-%d: value %d\n", i, p.random.IntN(3))
	}
	if p.random.IntN(10) == 0 {
		return strings.Repeat(out.String(), 4)
	}
	return out.String()
}

// commit puts a commit of these files on main; without a parent it has a history
// of its own. It merges others.
func (p *pushes) commit(parent string, files map[string]string, others ...string) {
	p.number++
	var script strings.Builder
	fmt.Fprintf(&script, "reset refs/heads/main\ncommit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 1\nm\n", 1e9+p.number)
	if parent != "" {
		fmt.Fprintf(&script, "from %s\n", parent)
	}
	for _, other := range others {
		fmt.Fprintf(&script, "merge %s\n", other)
	}
	fmt.Fprintf(&script, "deleteall\nM 160000 %040d module\nM 120000 inline link\ndata 3\nf%02d\n", p.number/3, p.number/5)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&script, "M 100644 inline %s\ndata %d\n%s\n", name, len(files[name]), files[name])
	}
	p.repo.GitInput(script.String(), "fast-import", "--quiet", "--force")
	hash := p.repo.BareGit("rev-parse", "refs/heads/main")
	p.commits = append(p.commits, hash)
	p.holds[hash] = files
}

func (p *pushes) head() string { return p.repo.BareGit("rev-parse", "refs/heads/main") }
func (p *pushes) any() string  { return p.commits[p.random.IntN(len(p.commits))] }

// change changes a few files.
func (p *pushes) change(files map[string]string) map[string]string {
	files = maps.Clone(files)
	for range 1 + p.random.IntN(4) {
		names := slices.Sorted(maps.Keys(files))
		if len(names) == 0 {
			files[p.name()] = p.content()
			continue
		}
		one := names[p.random.IntN(len(names))]
		switch p.random.IntN(5) {
		case 0:
			delete(files, one)
		case 1:
			files[p.name()] = files[one]
		case 2: // a move
			content := files[one]
			delete(files, one)
			files[p.name()] = content
		default:
			files[one] = p.content()
		}
	}
	return files
}

// push does one thing, and says what.
func (p *pushes) push() string {
	head := p.head()
	switch p.random.IntN(12) {
	case 0:
		p.commit(head, p.holds[head])
		return "an empty commit"
	case 1:
		p.commit(head, p.holds[p.any()])
		return "a revert to an older state"
	case 2:
		p.commit(p.any(), p.change(p.holds[head]))
		return "a forced push onto an older commit"
	case 3:
		p.repo.BareGit("update-ref", "refs/heads/main", p.any())
		return "back to an older commit"
	case 4:
		p.commit("", p.change(p.holds[p.any()]))
		return "another history"
	case 5:
		p.commit(head, map[string]string{})
		return "all deleted"
	}
	p.commit(head, p.change(p.holds[head]))
	return "a change"
}

// Whatever is pushed, a clone that lives long holds what a fresh one does.
func TestRandomPushesThroughOneClone(t *testing.T) {
	testenv.Long(t)
	limits := Limits{FileBytes: 600}
	for i, c := range []struct {
		name   string
		filter string
		source func(t *testing.T, r *gittest.Repo) GitOptions
	}{
		{"http", "false", func(t *testing.T, r *gittest.Repo) GitOptions {
			return GitOptions{URL: r.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true}
		}},
		{"http with filter", "true", func(t *testing.T, r *gittest.Repo) GitOptions {
			return GitOptions{URL: r.Serve(t, gittest.HTTP{}).Repo, AllowHTTP: true}
		}},
		{"file", "false", func(_ *testing.T, r *gittest.Repo) GitOptions {
			return GitOptions{URL: "file://" + r.Bare, AllowLocal: true}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPushes(t, uint64(i))
			p.repo.BareGit("config", "uploadpack.allowFilter", c.filter)
			o := c.source(t, p.repo)
			o.Branch, o.Limits, o.Dir = "main", limits, filepath.Join(t.TempDir(), "clone")
			g := openGit(t, o)
			for step := range 45 {
				what := "the beginning"
				if step > 0 {
					what = p.push()
				}
				s := snapshot(t, g)
				wantRevision(t, s, p.head(), "main")
				wantFiles(t, s, p.holds[p.head()])
				if step%7 == 6 {
					g = reopen(t, g, o)
					wantFiles(t, snapshot(t, g), p.holds[p.head()])
				}
				if c.name == "http" && step%20 == 19 {
					fsck(t, g, "missing blob") // those that are too large to be read
				}
				if t.Failed() {
					t.Fatalf("step %d: %s", step, what)
				}
			}
			// Once at first, and where the server builds on files that were left out.
			if n := g.clone.number; n > 1 && c.name == "file" || n > 4 {
				t.Errorf("the repository was fetched whole %d times", n)
			}
			fresh := snapshot(t, openGit(t, GitOptions{URL: "file://" + p.repo.Bare, AllowLocal: true, Branch: "main", Limits: limits}))
			wantFiles(t, fresh, p.holds[p.head()])
		})
	}
}

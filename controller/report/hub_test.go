package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/forge"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/reconcile"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// hub is a forge with its git server, and a Marathon whose apps are files: all in memory,
// so that time may be virtual. People and faults change it.
type hub struct {
	mu       sync.Mutex
	commits  map[string]*commit
	branch   string // commit that main is at
	live     map[string]string
	pulls    map[int]*hubPull
	statuses map[string][]forge.Status // by commit
	lastID   int
	fault    fault
	asked    map[string]int // method → how often it was called
	marathon error          // why Marathon cannot be read
	previews int
}

type commit struct {
	id      string
	parents []string
	files   map[string]string
}

type hubPull struct {
	forge.Pull
	comments []hubComment
	mergeRef string // commit of the merge ref
}

type hubComment struct{ id, author, body string }

// fault is how the forge fails. The zero value: it does not.
type fault string

const (
	faultNone   fault = ""
	faultDown   fault = "down"
	faultError  fault = "502"
	faultLimit  fault = "limit"
	faultDenied fault = "denied"
	faultHang   fault = "hang"
	faultLate   fault = "late" // it does what it is asked for, and its answer is lost
)

var faults = []fault{faultDown, faultError, faultLimit, faultDenied, faultHang, faultLate}

const bot = "pacer-bot"

func newHub(files map[string]string) *hub {
	h := &hub{commits: map[string]*commit{}, pulls: map[int]*hubPull{}, statuses: map[string][]forge.Status{}, asked: map[string]int{}}
	h.branch = h.add(files)
	h.live = maps.Clone(files)
	return h
}

// add makes a commit. Called with mu held, or before there is anybody else.
func (h *hub) add(files map[string]string, parents ...string) string {
	id := fmt.Sprintf("%08x%032x", len(h.commits)+1, 0) // told apart by what people are shown
	h.commits[id] = &commit{id: id, parents: parents, files: maps.Clone(files)}
	return id
}

func (h *hub) nextID() string {
	h.lastID++
	return fmt.Sprint(h.lastID)
}

// edited is a commit's files with a change: an empty content deletes.
func (h *hub) edited(id, file, content string) map[string]string {
	files := maps.Clone(h.commits[id].files)
	if files[file] = content; content == "" {
		delete(files, file)
	}
	return files
}

// change does something that people do.
func (h *hub) change(do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	do()
	for _, p := range h.pulls {
		if p.State == forge.PullOpen {
			p.MergeBase = h.shared(h.branch, p.HeadCommit) // BaseCommit stays, as GitHub's does
		}
	}
}

// open opens a pull request.
func (h *hub) open(file, content string) int {
	n := len(h.pulls) + 1
	head := h.add(h.edited(h.branch, file, content), h.branch)
	h.pulls[n] = &hubPull{Pull: forge.Pull{Number: n, Title: "Change " + file, State: forge.PullOpen, Base: "main", Head: fmt.Sprint("topic-", n), BaseCommit: h.branch, HeadCommit: head, HeadRef: fmt.Sprintf("refs/pull/%d/head", n), MergeRef: fmt.Sprintf("refs/pull/%d/merge", n), Updated: time.Now()}}
	return n
}

// refreshMerge moves the merge ref of a pull request, which lags until then.
func (h *hub) refreshMerge(p *hubPull) {
	if tree, conflicts := h.merge(h.shared(h.branch, p.HeadCommit), h.branch, p.HeadCommit); len(conflicts) == 0 {
		p.mergeRef = h.add(tree, h.branch, p.HeadCommit)
	}
}

// ancestors of a commit, itself included.
func (h *hub) ancestors(id string) map[string]bool {
	all, todo := map[string]bool{}, []string{id}
	for len(todo) > 0 {
		id, todo = todo[0], todo[1:]
		if !all[id] && h.commits[id] != nil {
			all[id] = true
			todo = append(todo, h.commits[id].parents...)
		}
	}
	return all
}

// shared is the newest commit that two have in common; ids grow.
func (h *hub) shared(a, b string) string {
	of, best := h.ancestors(a), ""
	for id := range h.ancestors(b) {
		if of[id] {
			best = max(best, id)
		}
	}
	return best
}

// merge merges files three ways.
func (h *hub) merge(base, ours, theirs string) (tree map[string]string, conflicts []string) {
	b, o, t := h.commits[base].files, h.commits[ours].files, h.commits[theirs].files
	tree = map[string]string{}
	names := maps.Clone(b)
	maps.Copy(names, o)
	maps.Copy(names, t)
	for name := range names {
		merged := o[name]
		switch {
		case o[name] == t[name] || t[name] == b[name]:
		case o[name] == b[name]:
			merged = t[name]
		default:
			conflicts = append(conflicts, name)
		}
		if merged != "" {
			tree[name] = merged
		}
	}
	slices.Sort(conflicts)
	return tree, conflicts
}

// memoryFS is a commit's files, of which a path has a content id.
type memoryFS map[string]string

func (m memoryFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: errors.ErrUnsupported}
}

func (m memoryFS) Stat(name string) (fs.FileInfo, error) {
	var id []string
	for _, file := range slices.Sorted(maps.Keys(m)) {
		if name == "." || strings.HasPrefix(file, name+"/") {
			id = append(id, file+"="+m[file])
		}
	}
	if len(id) == 0 {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return contentInfo{id: strings.Join(id, " ")}, nil
}

type contentInfo struct {
	fs.FileInfo
	id string
}

func (i contentInfo) ContentID() string { return i.id }

func snapshotOf(c *commit) *sources.Snapshot {
	return &sources.Snapshot{Revision: sources.Revision{ID: c.id, Parents: c.parents}, FS: memoryFS(c.files)}
}

// Fetch implements Commits.
func (h *hub) Fetch(_ context.Context, wants []string) (map[string]*sources.Snapshot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	got := map[string]*sources.Snapshot{}
	refs := map[string]string{"refs/heads/main": h.branch}
	for n, p := range h.pulls {
		refs[fmt.Sprintf("refs/pull/%d/head", n)], refs[fmt.Sprintf("refs/pull/%d/merge", n)] = p.HeadCommit, p.mergeRef
	}
	for _, want := range wants {
		if c := h.commits[cmp.Or(refs[want], want)]; c != nil {
			got[want] = snapshotOf(c)
		}
	}
	return got, nil
}

// mergeSnapshots is a Merge.
func (h *hub) mergeSnapshots(base, ours, theirs *sources.Snapshot) (*sources.Snapshot, []string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tree, conflicts := h.merge(base.Revision.ID, ours.Revision.ID, theirs.Revision.ID)
	if len(conflicts) > 0 {
		return nil, conflicts, nil
	}
	return snapshotOf(&commit{id: theirs.Revision.ID, files: tree}), nil, nil
}

// Preview implements Planner.
func (h *hub) Preview(_ context.Context, sync string, s *sources.Snapshot) (plan.Plan, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.previews++
	if h.marathon != nil {
		return plan.Plan{}, h.marathon
	}
	if sync == "unplanned" {
		return plan.Plan{}, controller.ErrNotPlanned
	}
	return h.plan(sync, s.Revision.ID, s.FS.(memoryFS)), nil
}

// plan compares the files of a sync, which are those of the folder of its name, with live.
func (h *hub) plan(sync, revision string, files map[string]string) plan.Plan {
	p := plan.Plan{Sync: sync, Revision: revision}
	names := maps.Clone(h.live)
	maps.Copy(names, files)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if path.Dir(name) != sync {
			continue
		}
		if strings.HasPrefix(files[name], "bad") {
			p.Problems = append(p.Problems, manifests.Problem{File: name, Line: 1, Severity: manifests.SeverityError, Message: files[name]})
			continue
		}
		c := plan.Change{ID: "/" + name, Kind: manifests.KindApp, Action: plan.Update, Reason: h.live[name] + " to " + files[name]}
		switch {
		case files[name] == h.live[name]:
			p.Summary.None++
			continue
		case files[name] == "":
			c.Action = plan.Delete
		case h.live[name] == "":
			c.Action = plan.Create
		}
		p.Summary.Count(c.Action)
		p.Changes = append(p.Changes, c)
	}
	return p
}

// reconcile makes live what main is for a sync, and is what observers are told of it.
func (h *hub) reconcile(sync string) reconcile.Ended {
	h.mu.Lock()
	defer h.mu.Unlock()
	files := h.commits[h.branch].files
	maps.DeleteFunc(h.live, func(name, _ string) bool { return path.Dir(name) == sync && files[name] == "" })
	for name, content := range files {
		if path.Dir(name) == sync && !strings.HasPrefix(content, "bad") {
			h.live[name] = content
		}
	}
	p := h.plan(sync, h.branch, files)
	return reconcile.Ended{Sync: sync, Reconciliation: status.Reconciliation{Revision: h.branch, Result: status.ResultApplied}, Plan: &p}
}

// enter is called by every method of the forge: it fails as it is to.
func (h *hub) enter(ctx context.Context, method string) (late error, err error) {
	h.mu.Lock()
	h.asked[method]++
	f := h.fault
	h.mu.Unlock()
	wrap := func(err error) error { return &url.Error{Op: method, URL: "https://hub.example", Err: err} }
	switch f {
	case faultDown:
		return nil, wrap(errors.New("connection refused"))
	case faultError:
		return nil, wrap(&forge.StatusError{Code: http.StatusBadGateway})
	case faultLimit:
		return nil, wrap(&forge.RateLimitError{Until: time.Now().Add(20 * time.Minute), Err: errors.New("slow down")})
	case faultDenied:
		return nil, wrap(&forge.StatusError{Code: http.StatusForbidden})
	case faultHang:
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // as the transport's
		defer cancel()
		<-ctx.Done()
		return nil, wrap(ctx.Err())
	case faultLate:
		return wrap(errors.New("connection reset")), nil
	}
	return nil, ctx.Err()
}

// ask calls do for a method, under the lock.
func (h *hub) ask(ctx context.Context, method string, do func() error) error {
	late, err := h.enter(ctx, method)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return cmp.Or(do(), late)
}

func (h *hub) String() string { return "https://hub.example/team/shop" }

func (h *hub) Check(context.Context) ([]string, error) { return nil, nil }

func (h *hub) Pulls(ctx context.Context) (all []forge.Pull, more bool, err error) {
	err = h.ask(ctx, "Pulls", func() error {
		for _, n := range slices.Sorted(maps.Keys(h.pulls)) {
			if p := h.pulls[n].Pull; p.State == forge.PullOpen {
				p.MergeBase = ""
				p.Labels = slices.Clone(p.Labels)
				all = append(all, p)
			}
		}
		return nil
	})
	return all, false, err
}

func (h *hub) Pull(ctx context.Context, n int) (p forge.Pull, err error) {
	err = h.ask(ctx, "Pull", func() error {
		if h.pulls[n] == nil {
			return forge.ErrNotFound
		}
		p = h.pulls[n].Pull
		p.Labels = slices.Clone(p.Labels)
		return nil
	})
	return p, err
}

func (h *hub) MergedSince(context.Context, time.Time) ([]forge.Pull, error) { return nil, nil }

func (h *hub) RemoveLabel(ctx context.Context, n int, label string) error {
	return h.ask(ctx, "RemoveLabel", func() error {
		p := h.pulls[n]
		p.Labels = slices.DeleteFunc(p.Labels, func(l string) bool { return l == label })
		p.Updated = time.Now()
		return nil
	})
}

func (h *hub) FindComment(ctx context.Context, n int, marker string) (found *forge.Comment, err error) {
	err = h.ask(ctx, "FindComment", func() error {
		for _, c := range h.pulls[n].comments {
			if c.author == bot && strings.Contains(c.body, marker) {
				found = &forge.Comment{ID: c.id, Body: c.body}
				break
			}
		}
		return nil
	})
	return found, err
}

func (h *hub) CreateComment(ctx context.Context, n int, body string) (c forge.Comment, err error) {
	err = h.ask(ctx, "CreateComment", func() error {
		c = forge.Comment{ID: h.nextID(), Body: body}
		h.pulls[n].comments = append(h.pulls[n].comments, hubComment{c.ID, bot, body})
		h.pulls[n].Updated = time.Now()
		return nil
	})
	return c, err
}

func (h *hub) EditComment(ctx context.Context, n int, id, body string) error {
	return h.ask(ctx, "EditComment", func() error {
		all := h.pulls[n].comments
		i := slices.IndexFunc(all, func(c hubComment) bool { return c.id == id })
		if i < 0 {
			return forge.ErrNotFound
		}
		all[i].body = body
		return nil
	})
}

func (h *hub) Statuses(ctx context.Context, commit string) (all []forge.Status, err error) {
	err = h.ask(ctx, "Statuses", func() error { all = slices.Clone(h.statuses[commit]); return nil })
	return all, err
}

func (h *hub) SetStatus(ctx context.Context, commit string, s forge.Status) error {
	return h.ask(ctx, "SetStatus", func() error {
		h.statuses[commit] = append(slices.DeleteFunc(h.statuses[commit], func(t forge.Status) bool { return t.Context == s.Context }), s)
		return nil
	})
}

func (h *hub) Annotate(ctx context.Context, _ forge.Pull, _ string, _ []forge.Annotation) (bool, error) {
	return false, h.ask(ctx, "Annotate", func() error { return nil })
}

func (h *hub) FileURL(forge.Pull, string, int) string { return "" }

func (h *hub) MaxComment() int { return 65536 }

package reconcile

import (
	"cmp"
	"context"
	"io/fs"
	"time"

	"github.com/pacer-gitops/pacer/controller/store"
)

// The revision of a sync is the head of its branch, whoever made that commit. Who
// made the change is who made the newest commit that changed the path of the sync;
// see sources.Snapshot.LastChange.

// changeTimeout bounds the question who made a change: it is for the history, and
// holds nothing up for longer.
const changeTimeout = 5 * time.Second

// knownChange is the commit that was last found to have changed what a sync reads.
type knownChange struct {
	content string // of the path, then
	commit  *store.Commit
}

// findChange finds the commit that changed last what the reconciliation goes by, while the
// reconciliation works. The returned function waits for it.
func (p *reconciliation) findChange(ctx context.Context) (wait func()) {
	content := p.takeChange()
	s := p.from.snapshot
	if p.change != nil || s == nil || s.LastChange == nil || p.from.kept != nil {
		return func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	found := make(chan *store.Commit, 1)
	go func() {
		c, err := s.LastChange(ctx, p.r.Sync.Path)
		if err != nil {
			p.r.Log.Debug("it is not known who made a change", "sync", p.r.Sync.Name, "revision", p.revision.ID, "error", err)
			found <- nil
			return
		}
		found <- new(store.Commit(c))
	}()
	return func() {
		defer cancel()
		var c *store.Commit
		select {
		case c = <-found:
		case <-ctx.Done():
			select {
			case c = <-found: // long before that
			default:
			}
		}
		if c != nil {
			p.change, p.r.change = c, knownChange{content, c}
		}
	}
}

// keepChangeTimeout is how long a reconciliation that changed nothing waits for who made a
// change, to keep it with a revision.
const keepChangeTimeout = time.Second

// keepChange finds who made the change of a revision that is to be kept, if that is
// not known yet.
func (p *reconciliation) keepChange(ctx context.Context) {
	if p.change == nil {
		ctx, cancel := context.WithTimeout(ctx, keepChangeTimeout)
		defer cancel()
		p.findChange(ctx)()
	}
}

// takeChange takes over what is known without asking: what was kept with an earlier
// revision, or found when the path had the same content. It returns that content;
// empty: the source does not name it.
func (p *reconciliation) takeChange() (content string) {
	if p.from.kept != nil {
		p.change = p.from.kept.Change
		return ""
	}
	if p.from.snapshot == nil || p.from.snapshot.LastChange == nil {
		return ""
	}
	info, err := fs.Stat(p.from.snapshot.FS, cmp.Or(p.r.Sync.Path, "."))
	if err != nil {
		return ""
	}
	if named, ok := info.(interface{ ContentID() string }); ok {
		content = named.ContentID()
	}
	if content != "" && content == p.r.change.content {
		p.change = p.r.change.commit
	}
	return content
}

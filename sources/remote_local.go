package sources

import (
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/pacer-gitops/pacer/sources/gitpack"
)

// localRemote reads a repository of this machine in this process. Go-git would
// run the git binary for it, which an image need not have, and which would
// read the repository's own configuration.
type localRemote struct {
	path string
	dir  string              // of git's own files
	refs *filesystem.Storage // for these alone
}

func openLocal(path string) (remote, error) {
	r := &localRemote{path: path}
	for _, dir := range []string{filepath.Join(path, ".git"), path} {
		if _, err := os.Stat(filepath.Join(dir, "objects")); err != nil {
			continue
		}
		if err := readableFormat(dir); err != nil {
			return nil, r.describe(err)
		}
		r.dir, r.refs = dir, filesystem.NewStorage(osfs.New(dir, osfs.WithBoundOS()), cache.NewObjectLRU(0))
		return r, nil
	}
	if info, err := os.Stat(filepath.Join(path, ".git")); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("file://%s is a linked work tree: use the repository that it belongs to", path)
	}
	return nil, r.describe(transport.ErrRepositoryNotFound)
}

func (r *localRemote) describe(err error) error { return describeAny("file://"+r.path, err) }
func (r *localRemote) close() error             { return r.refs.Close() }

func (r *localRemote) look(context.Context) (*advert, error) {
	a := &advert{refs: map[string]plumbing.Hash{}, byHash: true}
	refs, err := r.refs.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("read its refs: %w", err)
	}
	defer refs.Close()
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		switch {
		case ref.Type() == plumbing.HashReference:
			a.refs[ref.Name().String()] = ref.Hash()
		case ref.Name() == plumbing.HEAD:
			a.head = ref.Target().String()
		}
		return nil
	})
	if err == nil && len(a.refs) == 0 {
		err = transport.ErrEmptyRemoteRepository
	}
	return a, err
}

// fetch packs the wanted commits' trees, without history and without what the
// commits that are here already hold.
func (r *localRemote) fetch(ctx context.Context, want request, write func(io.Reader) error) (answer, error) {
	objects, err := openRepository(r.dir, want.limits)
	if err != nil {
		return answer{}, fmt.Errorf("read its objects: %w", err)
	}
	p := &packing{ctx: ctx, from: objects, limits: want.limits, seen: map[plumbing.Hash]bool{}}
	p.here = true
	for _, have := range want.haves {
		// A commit that was since pruned there, or cannot be read, merely saves nothing.
		if err := p.add(have, 0); err != nil && ctx.Err() != nil {
			return answer{}, err
		}
	}
	p.here, p.shallow = false, nil
	for _, hash := range want.wants {
		if err := p.add(hash, 0); err != nil {
			return answer{}, err
		}
	}
	reader, writer := io.Pipe()
	encoded := make(chan error, 1)
	go func() {
		err := recovered("file://"+r.path, slog.New(slog.DiscardHandler), func() error { return p.write(writer) })
		writer.CloseWithError(err) //nolint:errcheck // never fails
		encoded <- err
	}()
	err = write(reader)
	reader.CloseWithError(fs.ErrClosed) //nolint:errcheck // never fails; ends the encoder
	if encodeErr := <-encoded; err == nil {
		err = encodeErr
	}
	return answer{shallow: p.shallow, partial: true}, err
}

// past opens what is behind a commit where it is.
func (r *localRemote) past(_ context.Context, want request, _ func(io.Reader) error) (opener, error) {
	objects, err := openRepository(r.dir, want.limits)
	if err != nil {
		return nil, fmt.Errorf("read its objects: %w", err)
	}
	return objects.open, nil
}

// packing collects the objects of a pack.
type packing struct {
	ctx     context.Context
	from    *repository
	limits  Limits
	here    bool // what is added now is there already, and is not packed
	seen    map[plumbing.Hash]bool
	objects []plumbing.Hash
	shallow []plumbing.Hash
}

// note says whether an object is new, and takes it if so.
func (p *packing) note(hash plumbing.Hash) (bool, error) {
	if p.ctx.Err() != nil {
		return false, context.Cause(p.ctx)
	}
	if p.seen[hash] {
		return false, nil
	}
	if len(p.seen) >= 2*p.limits.Objects { // of what is here, and of what is wanted
		return false, fmt.Errorf("%w: more than %d objects", ErrLimit, p.limits.Objects)
	}
	p.seen[hash] = true
	if !p.here {
		p.objects = append(p.objects, hash)
	}
	return true, nil
}

// add takes a commit, or a tag and what it points to.
func (p *packing) add(hash plumbing.Hash, depth int) error {
	start, err := openedStart(hash, p.from.open)
	if err != nil {
		return fmt.Errorf("read commit %s: %w", hash, err)
	}
	if _, err := p.note(hash); err != nil {
		return err
	}
	commit, target, err := decode(hash, start)
	switch {
	case err != nil:
		return fmt.Errorf("read commit %s: %w", hash, err)
	case commit == nil && depth > maxTags:
		return fmt.Errorf("read commit %s: %w", hash, errTags)
	case commit == nil:
		return p.add(target, depth+1)
	}
	p.shallow = append(p.shallow, hash) // without parents too, as git has it
	return p.tree(commit.TreeHash, 1)
}

func (p *packing) tree(hash plumbing.Hash, depth int) error {
	if depth > maxPackedDepth {
		return fmt.Errorf("%w: folders nest deeper than %d", ErrLimit, maxPackedDepth)
	}
	if isNew, err := p.note(hash); !isNew {
		return err
	}
	kind, content, err := readWhole(hash, p.limits.ObjectBytes, p.from.open)
	if err == nil && kind != plumbing.TreeObject {
		err = fmt.Errorf("it is a %s", kind)
	}
	if err != nil {
		return fmt.Errorf("read folder %s: %w", hash, err)
	}
	for e, err := range treeEntries(content) {
		switch {
		case err != nil:
			return nil // as it was pushed: its reader tells
		case e.mode == modeFolder:
			err = p.tree(e.hash, depth+1)
		case refuseMode(e.mode) == "":
			err = p.blob(e.hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxPackedDepth bounds the stack. Snapshots list fewer levels, and tell of more.
const maxPackedDepth = 4096

// blob takes a file, unless it is too large to be read.
func (p *packing) blob(hash plumbing.Hash) error {
	if p.here || p.seen[hash] {
		p.seen[hash] = true
		return nil // to find out its size takes longer than all else
	}
	size, err := p.from.size(hash)
	if err != nil {
		return fmt.Errorf("read file %s: %w", hash, err)
	}
	if size <= p.limits.FileBytes {
		_, err = p.note(hash)
	}
	return err
}

// write writes the pack, and holds one object at a time.
func (p *packing) write(to io.Writer) error {
	w := gitpack.NewWriter(to, zlib.DefaultCompression, p.limits.FetchBytes)
	if err := w.Begin(len(p.objects)); err != nil {
		return err
	}
	for _, hash := range p.objects {
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		if err := p.copy(w, hash); err != nil {
			return fmt.Errorf("read object %s: %w", hash, err)
		}
	}
	_, err := w.End()
	return err
}

func (p *packing) copy(w *gitpack.Writer, hash plumbing.Hash) error {
	o, err := p.from.open(hash, p.limits.ObjectBytes)
	if err != nil {
		return err
	}
	return errors.Join(w.Object(o.Kind, o.Size, o), o.Close())
}

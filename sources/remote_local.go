package sources

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// localRemote reads a repository of this machine in this process. Go-git would
// run the git binary for it, which an image need not have, and which would
// read the repository's own configuration.
type localRemote struct {
	path    string
	storage *filesystem.Storage
}

func openLocal(path string) (remote, error) {
	r := &localRemote{path: path}
	for _, dir := range []string{filepath.Join(path, ".git"), path} {
		if _, err := os.Stat(filepath.Join(dir, "objects")); err != nil {
			continue
		}
		r.storage = filesystem.NewStorageWithOptions(osfs.New(dir, osfs.WithBoundOS()),
			cache.NewObjectLRU(16<<20), filesystem.Options{KeepDescriptors: true})
		return r, nil
	}
	if info, err := os.Stat(filepath.Join(path, ".git")); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("file://%s is a linked work tree: give the repository that it belongs to", path)
	}
	return nil, r.describe(transport.ErrRepositoryNotFound)
}

func (r *localRemote) describe(err error) error { return describeAny("file://"+r.path, err) }
func (r *localRemote) close() error             { return r.storage.Close() }

func (r *localRemote) look(context.Context) (*advert, error) {
	a := &advert{refs: map[string]plumbing.Hash{}, byHash: true}
	refs, err := r.storage.IterReferences()
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
	p := &packing{ctx: ctx, storage: r.storage, limits: want.limits, seen: map[plumbing.Hash]bool{}}
	p.here = true
	for _, have := range want.haves {
		// A commit that was since pruned there, or cannot be read, merely saves nothing.
		if err := p.add(have); err != nil && ctx.Err() != nil {
			return answer{}, err
		}
	}
	p.here, p.shallow = false, nil
	for _, hash := range want.wants {
		if err := p.add(hash); err != nil {
			return answer{}, err
		}
	}
	reader, writer := io.Pipe()
	encoded := make(chan error, 1)
	go func() {
		_, err := packfile.NewEncoder(writer, r.storage, false).Encode(p.objects, 0)
		writer.CloseWithError(err) //nolint:errcheck // never fails
		encoded <- err
	}()
	err := write(&contextReader{ctx, reader})
	reader.CloseWithError(fs.ErrClosed) //nolint:errcheck // never fails; ends the encoder
	if encodeErr := <-encoded; err == nil {
		err = encodeErr
	}
	return answer{shallow: p.shallow, partial: true}, err
}

type contextReader struct {
	ctx  context.Context
	next io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.next.Read(p)
}

// packing collects the objects of a pack.
type packing struct {
	ctx     context.Context
	storage *filesystem.Storage
	limits  Limits
	here    bool // what is added now is there already, and is not packed
	seen    map[plumbing.Hash]bool
	objects []plumbing.Hash
	shallow []plumbing.Hash
}

// note says whether an object is new, and takes it if so.
func (p *packing) note(hash plumbing.Hash) bool {
	if p.seen[hash] {
		return false
	}
	p.seen[hash] = true
	if !p.here {
		p.objects = append(p.objects, hash)
	}
	return true
}

// add takes a commit, or a tag and what it points to.
func (p *packing) add(hash plumbing.Hash) error {
	if tag, err := object.GetTag(p.storage, hash); err == nil {
		p.note(hash)
		return p.add(tag.Target)
	}
	commit, err := object.GetCommit(p.storage, hash)
	if err != nil {
		return fmt.Errorf("read commit %s: %w", hash, err)
	}
	p.note(hash)
	p.shallow = append(p.shallow, hash) // without parents too, as git has it
	return p.tree(commit.TreeHash)
}

func (p *packing) tree(hash plumbing.Hash) error {
	if p.ctx.Err() != nil {
		return context.Cause(p.ctx)
	}
	if !p.note(hash) {
		return nil
	}
	tree, err := object.GetTree(p.storage, hash)
	if err != nil {
		return fmt.Errorf("read folder %s: %w", hash, err)
	}
	for _, e := range tree.Entries {
		switch e.Mode {
		case filemode.Regular, filemode.Executable:
			err = p.blob(e.Hash)
		case filemode.Dir:
			err = p.tree(e.Hash)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blob takes a file, unless it is too large to be read.
func (p *packing) blob(hash plumbing.Hash) error {
	if p.here || p.seen[hash] {
		p.seen[hash] = true
		return nil // to find out its size takes longer than all else
	}
	size, err := p.storage.EncodedObjectSize(hash)
	if err != nil {
		return fmt.Errorf("read file %s: %w", hash, err)
	}
	if size <= p.limits.FileBytes {
		p.note(hash)
	}
	return nil
}

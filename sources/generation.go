package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/pacer-gitops/pacer/sources/gitpack"
)

// generation is one bare repository of a clone. It only ever gains packs, so
// that a snapshot of it stays true.
type generation struct {
	path  string
	state generationState
	// failed counts the fetches onto it that failed in a row. A server may be able
	// to send a commit and unable to read one that it is told is here.
	failed int

	// mu guards packs and damage. A pack may itself be read by several.
	mu     sync.Mutex
	packs  []*gitpack.Pack // those of the state, in its order
	damage error           // what a reader met: the next fetch is of all

	bases *cache.BufferLRU // of all packs
}

// generationState is kept beside the repository in pacer.json. A pack that is
// not in it was being fetched when the process was killed.
type generationState struct {
	Key     cloneKey        `json:"key"`
	Packs   []string        `json:"packs"`
	Head    plumbing.Hash   `json:"head"`    // the commit fetched last
	Shallow []plumbing.Hash `json:"shallow"` // commits whose parents are not here
	// First is the size of the first pack: what the repository takes when it is
	// fetched whole.
	First int64 `json:"first"`
	Bytes int64 `json:"bytes"`
	// LeftOut: files were left out for their size, here or on the server, so that one
	// which is not here may be one of these.
	LeftOut bool `json:"leftOut,omitempty"`
}

const (
	stateFile = "pacer.json"
	packFiles = "objects/pack"

	maxPacks  = 128      // each makes finding an object slower
	slack     = 64 << 20 // growth that is not worth a fetch
	maxFailed = 2        // a connection that broke once is no reason to fetch all
)

// full says whether fetching the repository whole is better than adding to it.
func (g *generation) full() bool {
	s := g.state
	return len(s.Packs) >= maxPacks || s.Bytes > 2*s.First+slack || g.failed >= maxFailed
}

// haves are the commits that a server is told of: the one fetched last, and the
// one before, to which a revert goes back. For each further one a server would
// read all its folders.
func (s generationState) haves() []plumbing.Hash {
	haves := []plumbing.Hash{s.Head}
	for _, hash := range slices.Backward(s.Shallow) {
		if hash != s.Head {
			return append(haves, hash)
		}
	}
	return haves
}

func newGeneration(path string, key cloneKey) (*generation, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(path, packFiles), 0o700); err != nil {
		return nil, fmt.Errorf("create a folder for the clone: %w", err)
	}
	g := &generation{path: path, state: generationState{Key: key}, bases: newBases()}
	if err := g.repository().Init(); err != nil {
		return nil, fmt.Errorf("create an empty repository: %w", err)
	}
	head := plumbing.NewSymbolicReference(plumbing.HEAD, fetchedRef)
	return g, g.repository().SetReference(head)
}

// fetchedRef makes what was fetched visible to git's own commands.
const fetchedRef = plumbing.ReferenceName("refs/heads/fetched")

// newBases keeps a few megabytes of objects that others build on in memory.
func newBases() *cache.BufferLRU { return cache.NewBufferLRU(16 << 20) }

// repository writes what git's own commands need to read the generation.
func (g *generation) repository() *filesystem.Storage {
	return filesystem.NewStorage(osfs.New(g.path, osfs.WithBoundOS()), cache.NewObjectLRU(0))
}

func (g *generation) packPath(name string) string { return filepath.Join(g.path, packFiles, name) }

// openGeneration checks every byte of the packs before it trusts them.
func openGeneration(path string, key cloneKey) (*generation, error) {
	g := &generation{path: path, bases: newBases()}
	if err := readState(filepath.Join(path, stateFile), &g.state); err != nil {
		return nil, fmt.Errorf("read its state: %w", err)
	}
	if g.state.Key != key {
		return nil, errors.New("it was fetched from another URL or with another limit")
	}
	if err := g.removeStray(); err != nil {
		return nil, err
	}
	for _, name := range g.state.Packs {
		pack, err := gitpack.Open(g.packPath(name), g.bases)
		if err == nil {
			err = pack.Verify()
		}
		if err != nil {
			return nil, fmt.Errorf("read its packs: %w", err)
		}
		g.packs = append(g.packs, pack)
	}
	if _, err := g.commit(g.state.Head); err != nil {
		return nil, fmt.Errorf("read its newest commit: %w", err)
	}
	return g, nil
}

// removeStray removes packs that no finished fetch left, whole or half.
func (g *generation) removeStray() error {
	dir := filepath.Join(g.path, packFiles)
	listed, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range listed {
		name := e.Name()
		if slices.Contains(g.state.Packs, strings.TrimSuffix(name, filepath.Ext(name))) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// moveTo renames the generation, which nobody reads yet.
func (g *generation) moveTo(path string) error {
	if err := os.Rename(g.path, path); err != nil {
		return err
	}
	g.path = path
	for i, pack := range g.packs {
		pack.Move(g.packPath(g.state.Packs[i]))
	}
	return nil
}

// hold keeps the packs open, so that snapshots need the folder no more.
func (g *generation) hold() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	var errs []error
	for _, pack := range g.packs {
		errs = append(errs, pack.Hold())
	}
	return errors.Join(errs...)
}

// fetch adds what is wanted to the generation. Unless it returns nil nothing
// that counts has changed.
func (g *generation) fetch(ctx context.Context, r remote, want request) error {
	var stored gitpack.Stored
	answer, err := r.fetch(ctx, want, func(body io.Reader) (err error) {
		stored, err = g.receive(ctx, body, want.limits)
		return err
	})
	if err == nil {
		err = g.adopt(ctx, want, answer, stored)
	}
	g.failed++
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrLimit) || ofDisk(err) || isRefused(err) {
		g.failed = 0
	}
	if err != nil {
		if errors.Is(err, errUnfit) {
			g.spoil(err)
		}
		// A fetch that fails again and again must not fill the disk.
		err = errors.Join(err, g.removeStray())
	}
	return err
}

// receive takes a pack in, which does not count yet.
func (g *generation) receive(ctx context.Context, body io.Reader, l Limits) (gitpack.Stored, error) {
	stored, err := gitpack.Receive(ctx, filepath.Join(g.path, packFiles), body, l.ofPacks(), g.base)
	if errors.Is(err, errUnfit) && g.state.Head.IsZero() {
		err = &blameless{err}
	}
	return stored, err
}

// blameless is the error of a pack that does not fit, where nothing is here that it
// could fit.
type blameless struct{ error }

func (b *blameless) Is(target error) bool { return target != errUnfit && errors.Is(b.error, target) }

// base reads an object that the deltas of a pack build on.
func (g *generation) base(hash plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	kind, content, err := g.read(hash, limit)
	if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) && !errors.Is(err, ErrLimit) {
		g.spoil(err)
	}
	return kind, content, err
}

// adopt makes a pack that was written count, if it is whole with the others.
func (g *generation) adopt(ctx context.Context, want request, answer answer, stored gitpack.Stored) error {
	next := g.state
	if !slices.Contains(next.Packs, stored.Name) { // else what came is here already
		pack, err := gitpack.Open(g.packPath(stored.Name), g.bases)
		if err != nil {
			return fmt.Errorf("read the fetched objects: %w", err)
		}
		next.Packs = append(slices.Clone(next.Packs), stored.Name)
		next.Bytes += stored.Size
		g.setPacks(append(slices.Clone(g.packs), pack))
	}
	next.LeftOut = next.LeftOut || answer.partial || stored.Skipped > 0
	head, err := g.arrived(ctx, want, next.LeftOut)
	if err == nil {
		err = g.note(&next, head, answer, stored)
	}
	if err != nil {
		g.setPacks(g.packs[:len(g.state.Packs)])
		return err
	}
	g.state = next
	return nil
}

func (g *generation) setPacks(packs []*gitpack.Pack) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.packs = packs
}

// note writes what was fetched, for the next process and for git's own commands.
func (g *generation) note(next *generationState, head plumbing.Hash, answer answer, stored gitpack.Stored) error {
	next.Head = head
	if next.First == 0 {
		next.First = stored.Size
	}
	for _, hash := range answer.shallow {
		if !slices.Contains(next.Shallow, hash) {
			next.Shallow = append(slices.Clone(next.Shallow), hash)
		}
	}
	to := g.repository()
	err := errors.Join(
		to.SetShallow(next.Shallow),
		to.SetReference(plumbing.NewHashReference(fetchedRef, head)),
		writeState(filepath.Join(g.path, stateFile), next),
	)
	if err != nil {
		return fmt.Errorf("record the fetched revision: %w", err)
	}
	return nil
}

// arrived is the first of the wanted commits, once all are here. Where they were added
// to others each is held to being whole with what they brought: the server was told
// what that is.
func (g *generation) arrived(ctx context.Context, want request, leftOut bool) (head plumbing.Hash, err error) {
	var before *object.Commit
	if !g.state.Head.IsZero() {
		if before, err = g.commit(g.state.Head); err != nil {
			return head, g.unfit(err)
		}
	}
	wants := want.wants
	if want.history {
		wants = wants[:1] // of all branches and tags, which may point to anything
	}
	for i, hash := range wants {
		commit, err := g.commit(hash)
		if err == nil && before != nil {
			err = g.lacks(ctx, commit, before, want.limits, leftOut)
		}
		if ctx.Err() != nil {
			return head, context.Cause(ctx)
		}
		if err != nil {
			return head, g.unfit(err)
		}
		if i == 0 {
			head = commit.Hash
		}
	}
	return head, nil
}

// unfit blames an error on what was here before, if anything was.
func (g *generation) unfit(err error) error {
	if err == nil || g.state.Head.IsZero() || ofDisk(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errUnfit, err)
}

// ofDisk says whether an error is one of this machine's disk.
func ofDisk(err error) bool {
	var disk *fs.PathError
	return errors.As(err, &disk)
}

// find returns the pack that holds an object, and where, or
// plumbing.ErrObjectNotFound.
func (g *generation) find(hash plumbing.Hash) (*gitpack.Pack, int64, error) {
	g.mu.Lock()
	packs := g.packs
	g.mu.Unlock()
	for _, pack := range slices.Backward(packs) {
		if at, found, err := pack.Find(hash); err != nil || found {
			return pack, at, err
		}
	}
	return nil, 0, plumbing.ErrObjectNotFound
}

// size returns the size of an object.
func (g *generation) size(hash plumbing.Hash) (int64, error) {
	pack, at, err := g.find(hash)
	if err != nil {
		return 0, err
	}
	return pack.Size(at)
}

// open opens an object, of at most limit bytes where it is a delta.
func (g *generation) open(hash plumbing.Hash, limit int64) (*gitpack.Object, error) {
	pack, at, err := g.find(hash)
	if err != nil {
		return nil, err
	}
	return pack.Read(at, limit, gitpack.MaxChain) // what came was held to what can be held
}

// read reads an object of at most limit bytes, and holds it to its hash.
func (g *generation) read(hash plumbing.Hash, limit int64) (plumbing.ObjectType, []byte, error) {
	return readWhole(hash, limit, g.open)
}

// readWhole reads an object of at most limit bytes, and holds it to its hash.
func readWhole(hash plumbing.Hash, limit int64, open opener) (plumbing.ObjectType, []byte, error) {
	o, err := open(hash, limit)
	if err != nil {
		return 0, nil, err
	}
	defer o.Close() //nolint:errcheck // only read
	content, err := o.All(limit)
	if err == nil && plumbing.ComputeHash(o.Kind, content) != hash {
		err = errDamaged
	}
	return o.Kind, content, err
}

var errDamaged = errors.New("its content does not match its hash")

// commit finds a commit, or the one that a tag points to. What is here is here
// whole: packs count when all that they were asked for has come.
func (g *generation) commit(hash plumbing.Hash) (*object.Commit, error) {
	commit, err := peel(hash, g.open)
	if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) && !errors.Is(err, ErrLimit) {
		g.spoil(err)
	}
	return commit, err
}

// spoil notes that the generation cannot be read; the next look replaces it.
func (g *generation) spoil(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.damage == nil {
		g.damage = err
	}
}

func (g *generation) damaged() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.damage
}

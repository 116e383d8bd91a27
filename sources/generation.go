package sources

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // git's own checksum of packs
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// generation is one bare repository of a clone. It only ever gains packs, so
// that a snapshot of it stays true.
type generation struct {
	path  string
	state generationState

	// mu guards storage, which go-git does not make safe for several readers.
	mu      sync.Mutex
	storage *filesystem.Storage
	damage  error // what a reader met: the next look fetches anew
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
}

const (
	stateFile = "pacer.json"
	packFiles = "objects/pack"

	maxPacks = 32       // each makes finding an object slower
	slack    = 64 << 20 // growth that is not worth a fetch
)

// full says whether fetching the repository whole is better than adding to it.
func (s generationState) full() bool {
	return len(s.Packs) >= maxPacks || s.Bytes > 2*s.First+slack
}

func newGeneration(path string, key cloneKey) (*generation, error) {
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(path, packFiles), 0o700); err != nil {
		return nil, fmt.Errorf("make a folder for the clone: %w", err)
	}
	g := &generation{path: path, state: generationState{Key: key}}
	g.storage = g.newStorage()
	if err := g.storage.Init(); err != nil {
		return nil, fmt.Errorf("make an empty repository: %w", err)
	}
	head := plumbing.NewSymbolicReference(plumbing.HEAD, fetchedRef)
	return g, g.storage.SetReference(head)
}

// fetchedRef makes what was fetched visible to git's own commands.
const fetchedRef = plumbing.ReferenceName("refs/heads/fetched")

func (g *generation) newStorage() *filesystem.Storage {
	return filesystem.NewStorageWithOptions(&heldFS{Filesystem: osfs.New(g.path, osfs.WithBoundOS())},
		cache.NewObjectLRU(16<<20), filesystem.Options{KeepDescriptors: true})
}

// reload has the storage take in what packs there are now, and hold them, so
// that snapshots need the folder no more. Callers hold mu.
func (g *generation) reload() error {
	g.storage.Reindex()
	for _, pack := range g.state.Packs {
		f, err := g.storage.Filesystem().Open(packFiles + "/" + pack + ".pack")
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	if g.state.Head.IsZero() {
		return nil
	}
	return g.storage.HasEncodedObject(g.state.Head) // reads the indexes
}

// openGeneration checks every byte of the packs before it trusts them.
func openGeneration(path string, key cloneKey) (*generation, error) {
	g := &generation{path: path}
	if err := readState(filepath.Join(path, stateFile), &g.state); err != nil {
		return nil, fmt.Errorf("read its state: %w", err)
	}
	if g.state.Key != key {
		return nil, errors.New("it was fetched for another URL or another limit")
	}
	if err := g.removeStray(); err != nil {
		return nil, err
	}
	for _, pack := range g.state.Packs {
		if err := verifyPack(filepath.Join(path, packFiles, pack+".pack")); err != nil {
			return nil, err
		}
	}
	g.storage = g.newStorage()
	if err := g.reload(); err != nil {
		return nil, fmt.Errorf("read its packs: %w", err)
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

// verifyPack compares a pack with the checksum at its end.
func verifyPack(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	body := info.Size() - sha1.Size
	if body < 0 {
		return fmt.Errorf("%s is cut off", filepath.Base(path))
	}
	h := sha1.New() //nolint:gosec // as above
	if _, err := io.CopyN(h, f, body); err != nil {
		return err
	}
	end, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if !bytes.Equal(end, h.Sum(nil)) {
		return fmt.Errorf("%s is damaged: its checksum is another", filepath.Base(path))
	}
	return nil
}

// moveTo renames the generation; open descriptors go with it.
func (g *generation) moveTo(path string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := os.Rename(g.path, path); err != nil {
		return err
	}
	g.path = path
	g.storage = g.newStorage()
	return g.reload()
}

// fetch adds what is wanted to the generation. Unless it returns nil nothing
// that counts has changed.
func (g *generation) fetch(ctx context.Context, r remote, want request) error {
	pack, size := "", int64(0)
	shallow, err := r.fetch(ctx, want, func(body io.Reader) (err error) {
		pack, size, err = g.writePack(body, want.limits)
		return err
	})
	if err == nil {
		err = g.adopt(want.wants[0], pack, size, shallow)
	}
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		// A fetch that fails again and again must not fill the disk.
		err = errors.Join(err, g.removeStray(), g.reload())
	}
	return err
}

// adopt makes a pack that was written count.
func (g *generation) adopt(wanted plumbing.Hash, pack string, size int64, shallow []plumbing.Hash) error {
	next := g.state
	next.Packs = append(slices.Clone(next.Packs), pack)
	next.Bytes += size
	if next.First == 0 {
		next.First = size
	}
	for _, hash := range shallow {
		if !slices.Contains(next.Shallow, hash) {
			next.Shallow = append(slices.Clone(next.Shallow), hash)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.storage.Reindex()
	commit, err := g.peel(wanted)
	if err != nil {
		return err
	}
	next.Head = commit.Hash
	err = errors.Join(
		g.storage.SetShallow(next.Shallow),
		g.storage.SetReference(plumbing.NewHashReference(fetchedRef, next.Head)),
		writeState(filepath.Join(g.path, stateFile), next),
	)
	if err != nil {
		return fmt.Errorf("note what was fetched: %w", err)
	}
	g.state = next
	return g.reload()
}

// writePack takes a pack in: first to a file, to hold it to the limits, then
// through go-git, which makes the index and checks every hash.
func (g *generation) writePack(body io.Reader, l Limits) (name string, size int64, err error) {
	temporary, err := os.CreateTemp(filepath.Join(g.path, packFiles), "incoming-*")
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, temporary.Close(), os.Remove(temporary.Name())) }()
	if size, err = io.Copy(temporary, io.LimitReader(body, l.FetchBytes+1)); err != nil {
		return "", 0, fmt.Errorf("receive the pack: %w", err)
	}
	if size > l.FetchBytes {
		return "", 0, fmt.Errorf("%w: the repository sends more than %d bytes", ErrLimit, l.FetchBytes)
	}
	if err := checkPack(temporary, l.ObjectBytes); err != nil {
		return "", 0, err
	}
	if _, err := temporary.Seek(0, io.SeekStart); err != nil {
		return "", 0, err
	}
	// An own storage: the shared one may be read meanwhile.
	if err := packfile.UpdateObjectStorage(g.newStorage(), temporary); err != nil {
		return "", 0, fmt.Errorf("index the pack: %w", err)
	}
	sum := make([]byte, sha1.Size)
	if _, err := temporary.ReadAt(sum, size-sha1.Size); err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("pack-%x", sum), size, nil
}

// commit finds a commit, or the one that a tag points to. What is here is here
// whole: packs count when all that they were asked for has come.
func (g *generation) commit(hash plumbing.Hash) (*object.Commit, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	commit, err := g.peel(hash)
	if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
		g.spoil(err)
	}
	return commit, err
}

// peel finds the commit that a hash is, or that an annotated tag points to.
func (g *generation) peel(hash plumbing.Hash) (*object.Commit, error) {
	for range 10 { // a tag of a tag is allowed, if seldom wise
		tag, err := object.GetTag(g.storage, hash)
		if err != nil {
			break
		}
		hash = tag.Target
	}
	commit, err := object.GetCommit(g.storage, hash)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", hash, err)
	}
	return commit, nil
}

// spoil notes that the generation cannot be read; the next look replaces it.
func (g *generation) spoil(err error) {
	if g.damage == nil {
		g.damage = err
	}
}

func (g *generation) damaged() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.damage
}

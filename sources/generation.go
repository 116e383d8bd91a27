package sources

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // git's own checksum of packs
	"encoding/binary"
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
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
)

// generation is one bare repository of a clone. It only ever gains packs, so
// that a snapshot of it stays true.
type generation struct {
	path  string
	state generationState
	// failed counts the fetches onto it that failed in a row. A server may be able
	// to send a commit and unable to read one that it is told is here.
	failed int

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

// reload has the storage take in what packs there are now. Callers hold mu.
func (g *generation) reload() error {
	g.storage.Reindex()
	for _, pack := range g.state.Packs {
		if err := g.hold(pack); err != nil {
			return err
		}
	}
	if g.state.Head.IsZero() {
		return nil
	}
	return g.storage.HasEncodedObject(g.state.Head) // reads the indexes
}

// hold opens a pack, so that snapshots need the folder no more. Callers hold mu.
func (g *generation) hold(pack string) error {
	f, err := g.storage.Filesystem().Open(packFiles + "/" + pack + ".pack")
	if err != nil {
		return err
	}
	return f.Close() // the heldFS keeps it open
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
	answer, err := r.fetch(ctx, want, func(body io.Reader) (err error) {
		pack, size, err = g.writePack(body, want.limits)
		return err
	})
	if err == nil {
		err = g.adopt(want, answer, pack, size)
	}
	g.failed++
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrLimit) || ofDisk(err) {
		g.failed = 0
	}
	if err != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if errors.Is(err, errUnfit) {
			g.spoil(err)
		}
		// A fetch that fails again and again must not fill the disk.
		err = errors.Join(err, g.removeStray())
		if unread := g.reload(); unread != nil {
			g.spoil(unread) // go-git goes on with the indexes that it read
			err = errors.Join(err, unread)
		}
	}
	return err
}

// adopt makes a pack that was written count.
func (g *generation) adopt(want request, answer answer, pack string, size int64) error {
	commit, err := g.arrived(want, answer)
	if err != nil {
		return err
	}
	next := g.state
	next.Packs = append(slices.Clone(next.Packs), pack)
	next.Bytes += size
	if next.First == 0 {
		next.First = size
	}
	for _, hash := range answer.shallow {
		if !slices.Contains(next.Shallow, hash) {
			next.Shallow = append(slices.Clone(next.Shallow), hash)
		}
	}
	next.Head = commit.Hash
	g.mu.Lock()
	defer g.mu.Unlock()
	err = errors.Join(
		g.storage.SetShallow(next.Shallow),
		g.storage.SetReference(plumbing.NewHashReference(fetchedRef, next.Head)),
		writeState(filepath.Join(g.path, stateFile), next),
	)
	if err != nil {
		return fmt.Errorf("note what was fetched: %w", err)
	}
	g.state = next
	return g.hold(pack)
}

// arrived is the wanted commit. Where it was added to others it is held to
// being whole with what they brought: the server was told what that is.
func (g *generation) arrived(want request, answer answer) (*object.Commit, error) {
	commit, err := g.commit(want.wants[0])
	if err != nil || g.state.Head.IsZero() {
		return commit, g.unfit(err)
	}
	before, err := g.commit(g.state.Head)
	if err == nil {
		err = g.lacks(commit, before, want.limits, answer.partial)
	}
	return commit, g.unfit(err)
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

// writePack takes a pack in: first to a file, to hold it to the limits and to
// complete it, then through go-git, which makes the index and checks every hash.
func (g *generation) writePack(body io.Reader, l Limits) (name string, size int64, err error) {
	received, err := os.CreateTemp(filepath.Join(g.path, packFiles), "incoming-*")
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, received.Close(), os.Remove(received.Name())) }()
	if size, err = io.Copy(received, io.LimitReader(body, l.FetchBytes+1)); err != nil {
		return "", 0, fmt.Errorf("receive the pack: %w", err)
	}
	if size > l.FetchBytes {
		return "", 0, fmt.Errorf("%w: the repository sends more than %d bytes", ErrLimit, l.FetchBytes)
	}
	found, err := checkPack(received, l.ObjectBytes)
	if err != nil {
		return "", 0, err
	}
	if found.size != size {
		return "", 0, fmt.Errorf("the server sends %d bytes after the end of the pack", size-found.size)
	}
	pack, err := g.complete(received, found, l)
	if err != nil {
		return "", 0, err
	}
	if pack != received {
		defer func() { err = errors.Join(err, pack.Close(), os.Remove(pack.Name())) }()
	}
	return g.index(pack)
}

// index puts a pack beside the others, with an index.
func (g *generation) index(pack *os.File) (name string, size int64, err error) {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return "", 0, err
	}
	indexed := int64(0)
	w, err := g.packWriter(&indexed)
	if err != nil {
		return "", 0, err
	}
	if _, err = io.Copy(w, pack); err != nil {
		return "", 0, errors.Join(err, w.Close())
	}
	err = w.Close()
	switch {
	case errors.Is(err, packfile.ErrReferenceDeltaNotFound):
		err = fmt.Errorf("it builds on an object that is neither in it nor here: check the repository on the server with git fsck: %w", err)
	case err == nil && !g.state.Head.IsZero():
		err = holdsEachOnce(pack, indexed)
	}
	if err != nil {
		return "", 0, fmt.Errorf("index the pack: %w", g.unfit(err))
	}
	end, err := pack.Seek(-sha1.Size, io.SeekEnd)
	if err != nil {
		return "", 0, err
	}
	sum := make([]byte, sha1.Size)
	if _, err := io.ReadFull(pack, sum); err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("pack-%x", sum), end + sha1.Size, nil
}

// holdsEachOnce compares how many objects a pack says it holds with how many
// are in its index. What a pack was completed with can stand in it once more, as
// a delta: where the server names all that deltas build on by hash, or is broken.
// Git then refuses the pack, and go-git does not find what builds on the second.
func holdsEachOnce(pack io.ReaderAt, indexed int64) error {
	header := make([]byte, packHeaderBytes)
	if _, err := pack.ReadAt(header, 0); err != nil {
		return err
	}
	if says := int64(binary.BigEndian.Uint32(header[packHeaderBytes-4:])); says != indexed {
		return fmt.Errorf("of its %d objects %d stand in it more than once", says, says-indexed)
	}
	return nil
}

// packWriter writes a pack and its index, which the storage takes in when it is
// closed: reading the indexes of all packs anew would take longer. How many
// objects are in the index is then told.
func (g *generation) packWriter(indexed *int64) (io.WriteCloser, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w, err := g.storage.PackfileWriter()
	if err != nil {
		return nil, err
	}
	writer, ok := w.(*dotgit.PackWriter)
	if !ok {
		return nil, fmt.Errorf("packs cannot be written by a %T", w)
	}
	takeIn := writer.Notify
	writer.Notify = func(pack plumbing.Hash, index *idxfile.Writer) {
		g.mu.Lock()
		defer g.mu.Unlock()
		takeIn(pack, index)
		if in, err := index.Index(); err == nil {
			*indexed, _ = in.Count() // counts what is in memory: never fails
		}
	}
	return writer, nil
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

package sources

import (
	"bufio"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/config"

	"github.com/pacer-gitops/pacer/sources/gitpack"
)

// repository reads the objects of a repository of this machine: those in packs, and
// the loose ones, each a file of its own, of this repository and of those that it
// borrows from. A file is open only while an object of it is read.
type repository struct {
	folders []string // of objects
	packs   []*gitpack.Pack
	limits  Limits
}

// maxBorrowed is how many repositories one may borrow objects from, each from the
// next; git's own limit is 5 deep.
const maxBorrowed = 20

func openRepository(dir string, l Limits) (*repository, error) {
	r := &repository{folders: []string{filepath.Join(dir, "objects")}, limits: l}
	bases := newBases()
	for i := 0; i < len(r.folders); i++ {
		if err := r.openPacks(filepath.Join(r.folders[i], "pack"), bases); err != nil {
			return nil, err
		}
		if err := r.borrow(r.folders[i]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *repository) openPacks(folder string, bases *cache.BufferLRU) error {
	listed, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range listed {
		name, isIndex := strings.CutSuffix(e.Name(), ".idx")
		if !isIndex {
			continue
		}
		pack, err := gitpack.Open(filepath.Join(folder, name), bases)
		if err != nil {
			return err
		}
		r.packs = append(r.packs, pack)
	}
	return nil
}

// borrow adds the folders of objects that a repository names as further places.
func (r *repository) borrow(folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, "info", "alternates"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if !filepath.IsAbs(line) {
			line = filepath.Join(folder, line)
		}
		if line = filepath.Clean(line); slices.Contains(r.folders, line) {
			continue // it borrows from itself, which git takes too
		}
		if r.folders = append(r.folders, line); len(r.folders) > maxBorrowed {
			return fmt.Errorf("%w: it borrows objects from more than %d repositories", ErrLimit, maxBorrowed)
		}
	}
	return nil
}

// open opens an object, of at most limit bytes where it is a delta.
func (r *repository) open(hash plumbing.Hash, limit int64) (*gitpack.Object, error) {
	for _, pack := range r.packs {
		at, found, err := pack.Find(hash)
		if err != nil {
			return nil, err
		}
		if found {
			return pack.Read(at, limit, r.limits.ObjectBytes)
		}
	}
	for _, folder := range r.folders {
		o, err := openLoose(folder, hash)
		if !errors.Is(err, fs.ErrNotExist) {
			return o, err
		}
	}
	return nil, plumbing.ErrObjectNotFound
}

// size returns the size of an object.
func (r *repository) size(hash plumbing.Hash) (int64, error) {
	for _, pack := range r.packs {
		if at, found, err := pack.Find(hash); err != nil || found {
			if err != nil {
				return 0, err
			}
			return pack.Size(at)
		}
	}
	o, err := r.open(hash, r.limits.ObjectBytes)
	if err != nil {
		return 0, err
	}
	return o.Size, o.Close()
}

// openLoose opens an object that is a file of its own: compressed, the name of its
// kind, a space, its size, a NUL, and its content.
func openLoose(folder string, hash plumbing.Hash) (_ *gitpack.Object, err error) {
	name := hash.String()
	f, err := os.Open(filepath.Join(folder, name[:2], name[2:]))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("loose object: %w", err), f.Close())
		}
	}()
	z, err := zlib.NewReader(f)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(z, 4<<10)
	kind, size, err := looseHead(in)
	if err != nil {
		return nil, err
	}
	return gitpack.NewObject(kind, size, in, f.Close), nil
}

// maxLooseHead is the length of the longest head: commit, and the digits of a size.
const maxLooseHead = 32

func looseHead(in *bufio.Reader) (kind plumbing.ObjectType, size int64, err error) {
	text := make([]byte, 0, maxLooseHead)
	for {
		c, err := in.ReadByte()
		if err != nil {
			return 0, 0, fmt.Errorf("read its head: %w", io.ErrUnexpectedEOF)
		}
		if c == 0 {
			break
		}
		if text = append(text, c); len(text) == maxLooseHead {
			return 0, 0, errors.New("its head is malformed")
		}
	}
	word, digits, _ := strings.Cut(string(text), " ")
	if kind, err = plumbing.ParseObjectType(word); err != nil {
		return 0, 0, err
	}
	if size, err = strconv.ParseInt(digits, 10, 64); err != nil || size < 0 || kind.IsDelta() {
		return 0, 0, errors.New("its head is malformed")
	}
	return kind, size, nil
}

// readableFormat refuses a repository whose objects or refs are in a format that
// is not read here.
func readableFormat(dir string) error {
	f, err := os.Open(filepath.Join(dir, "config"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	parsed := config.New()
	if err := config.NewDecoder(io.LimitReader(f, 1<<20)).Decode(parsed); err != nil {
		return nil //nolint:nilerr // what git reads of it is git's to say
	}
	extensions := parsed.Section("extensions")
	if err := readableObjects(extensions.Option("objectFormat"), "extensions.objectFormat"); err != nil {
		return err
	}
	if refs := extensions.Option("refStorage"); refs != "" && refs != "files" {
		return fmt.Errorf("its refs are stored as %s (extensions.refStorage), which is not supported: convert them with git refs migrate --ref-format=files", shown(refs))
	}
	return nil
}

// readableObjects refuses a repository whose objects are named by another hash than
// SHA-1. where is what says so.
func readableObjects(format, where string) error {
	if format == "" || strings.EqualFold(format, "sha1") {
		return nil
	}
	return fmt.Errorf("its object format is %s (%s), and only SHA-1 repositories are supported: push to a repository created with git init --object-format=sha1",
		shown(strings.ToUpper(format)), where)
}

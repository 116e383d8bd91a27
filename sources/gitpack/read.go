package gitpack

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git's own checksum of packs
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
)

// Pack is a pack on disk. Its methods may be called from several goroutines.
//
// Its file is open while an object is read, and a little longer for a few packs, so
// that however many there are they take no descriptors.
type Pack struct {
	path   string // without .pack and .idx
	index  *index
	loaded []byte // of the index; nil: it is too large to be held
	number int64  // among all packs of this process
	held   *openFile
	cache  *cache.BufferLRU
}

// maxLoaded is the size of the largest index that is held in memory, that of a
// million objects. Packs that are fetched have no larger one.
const maxLoaded = 32 << 20

var numbers atomic.Int64

// Open reads the index of a pack. Path is that of its files without .pack and .idx.
// What others build on is kept in the cache.
func Open(path string, bases *cache.BufferLRU) (*Pack, error) {
	p := &Pack{path: path, number: numbers.Add(1), cache: bases}
	f, err := os.Open(path + ".idx")
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if p.index, err = readIndex(f, info.Size()); err != nil {
		return nil, fmt.Errorf("%s.idx: %w", filepath.Base(path), err)
	}
	if info.Size() <= maxLoaded {
		p.loaded = make([]byte, info.Size())
		if _, err := f.ReadAt(p.loaded, 0); err != nil {
			return nil, fmt.Errorf("%s.idx: %w: %w", filepath.Base(path), errIndex, err)
		}
	}
	return p, nil
}

// Move says where the files of the pack are now.
func (p *Pack) Move(path string) { p.path = path }

// Hold keeps the pack's file open for as long as the pack is in use, so that it can
// be read when its name is gone. The system closes it with the pack's memory.
func (p *Pack) Hold() error {
	f, err := os.Open(p.path + ".pack")
	if err == nil {
		p.held = &openFile{File: f, users: 1} // which is never released
	}
	return err
}

// Verify compares every byte of the pack's files with their checksums.
func (p *Pack) Verify() error {
	for _, ext := range [...]string{".pack", ".idx"} {
		if err := verifyFile(p.path + ext); err != nil {
			return err
		}
	}
	return nil
}

func verifyFile(path string) error {
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
		return fmt.Errorf("%s is truncated", filepath.Base(path))
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
		return fmt.Errorf("%s is damaged: checksum mismatch", filepath.Base(path))
	}
	return nil
}

// Find returns where an object is in the pack.
func (p *Pack) Find(hash plumbing.Hash) (offset int64, found bool, err error) {
	if p.loaded != nil {
		return p.index.find(bytes.NewReader(p.loaded), hash)
	}
	f, err := os.Open(p.path + ".idx")
	if err != nil {
		return 0, false, err
	}
	defer f.Close() //nolint:errcheck // only read
	return p.index.find(f, hash)
}

// Object is an object that is being read. It must be closed.
type Object struct {
	Kind plumbing.ObjectType
	Size int64
	from io.Reader
	left int64
	end  func() error
}

// NewObject returns one whose content comes from a reader. What is read of it is
// never more than its size.
func NewObject(kind plumbing.ObjectType, size int64, content io.Reader, end func() error) *Object {
	return &Object{Kind: kind, Size: size, from: content, left: size, end: end}
}

// Read reads the content. An object that ends before its size is an error.
func (o *Object) Read(p []byte) (int, error) {
	if o.left == 0 {
		return 0, io.EOF
	}
	n, err := o.from.Read(p[:min(int64(len(p)), o.left)])
	switch o.left -= int64(n); {
	case o.left == 0:
		return n, ended(o.from)
	case err != nil:
		return n, inflateError(err)
	}
	return n, nil
}

// Close ends reading.
func (o *Object) Close() error {
	end := o.end
	if o.end = nil; end == nil {
		return nil
	}
	return end()
}

// All reads the content, if it has at most limit bytes, and is ErrLimit if not.
func (o *Object) All(limit int64) ([]byte, error) {
	if o.Size > limit {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d may be read", ErrLimit, o.Size, limit)
	}
	if whole, ok := o.from.(*whole); ok && o.left == o.Size {
		return whole.content, nil
	}
	content := make([]byte, o.left)
	_, err := io.ReadFull(o, content)
	return content, err
}

// whole is content that is in memory.
type whole struct {
	bytes.Reader
	content []byte
}

func (p *Pack) open() (*openFile, error) {
	if p.held != nil {
		openFiles.Lock()
		defer openFiles.Unlock()
		p.held.users++
		return p.held, nil
	}
	return openShared(p.path + ".pack")
}

// Size returns the size of the object at an offset.
func (p *Pack) Size(offset int64) (int64, error) {
	f, err := p.open()
	if err != nil {
		return 0, err
	}
	defer f.release()
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	h, err := i.seek(f, offset)
	if err != nil || !h.kind.IsDelta() {
		return h.size, err
	}
	return i.madeSize(h)
}

// Read opens the object at an offset. The content of one that stands in the pack as
// a delta is made at once, and is ErrLimit where it is larger than limit, or builds
// on one that is larger than chain. It must not be changed.
func (p *Pack) Read(offset, limit, chain int64) (_ *Object, err error) {
	f, err := p.open()
	if err != nil {
		return nil, err
	}
	i := inflaters.Get().(*inflater)
	end := func() error {
		inflaters.Put(i)
		f.release()
		return nil
	}
	h, err := i.seek(f, offset)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	if !h.kind.IsDelta() {
		if err := i.begin(); err != nil {
			return nil, errors.Join(inflateError(err), end())
		}
		return NewObject(h.kind, h.size, i.out, end), nil
	}
	defer end() //nolint:errcheck // always nil
	size, err := i.madeSize(h)
	if err == nil && size > limit {
		err = fmt.Errorf("%w: it has %d bytes, at most %d may be read", ErrLimit, size, limit)
	}
	if err != nil {
		return nil, err
	}
	kind, content, err := p.make(i, f, offset, chain)
	if err != nil {
		return nil, err
	}
	w := &whole{content: content}
	w.Reset(content)
	return NewObject(kind, int64(len(content)), w, nil), nil
}

// seek reads the head of the object at an offset. What it inflates to is next.
func (i *inflater) seek(f io.ReaderAt, offset int64) (head, error) {
	i.section = *io.NewSectionReader(f, offset, math.MaxInt64-offset)
	i.in.Reset(&i.section)
	return readHead(i.in)
}

// madeSize reads the size of what a delta makes, which is in its first bytes.
func (i *inflater) madeSize(h head) (int64, error) {
	if err := i.begin(); err != nil {
		return 0, inflateError(err)
	}
	start := i.start[:min(h.size, int64(len(i.start)))]
	if _, err := io.ReadFull(i.out, start); err != nil {
		return 0, inflateError(err)
	}
	_, made, _, err := deltaSizes(start)
	return made, err
}

// key is that of an object in the cache, which packs share.
func (p *Pack) key(offset int64) int64 { return p.number<<40 ^ offset }

// link is one object of a chain.
type link struct {
	offset int64
	head   head
}

// make makes an object that is a delta, from what it builds on.
func (p *Pack) make(i *inflater, f io.ReaderAt, offset, limit int64) (kind plumbing.ObjectType, content []byte, err error) {
	chain, kind, content, err := p.chain(i, f, offset, limit)
	if err != nil {
		return 0, nil, err
	}
	sum := int64(len(content))
	for at := len(chain) - 1; at >= 0; at-- {
		if content, err = i.step(f, chain[at], content, limit); err != nil {
			return 0, nil, err
		}
		if sum += int64(len(content)); sum > MaxChain {
			return 0, nil, fmt.Errorf("%w: its base objects have more than %d bytes together", ErrLimit, int64(MaxChain))
		}
		if at > 0 {
			p.cache.Put(p.key(chain[at].offset), append(content, byte(kind)))
		}
	}
	return kind, content, nil
}

// step makes the next object of a chain. It leaves room for the kind, which is kept
// with it.
func (i *inflater) step(f io.ReaderAt, l link, base []byte, limit int64) ([]byte, error) {
	if _, err := i.seek(f, l.offset); err != nil {
		return nil, err
	}
	if err := i.begin(); err != nil {
		return nil, inflateError(err)
	}
	text := make([]byte, l.head.size, l.head.size+1)
	if err := i.fill(text); err != nil || !l.head.kind.IsDelta() {
		return text, err
	}
	_, size, _, err := deltaSizes(text)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, overLimit(size, limit)
	}
	made := make([]byte, size, size+1)
	return made, applyDelta(base, text, made)
}

func overLimit(size, limit int64) error {
	return fmt.Errorf("%w: its base object has %d bytes, at most %d can be held", ErrLimit, size, limit)
}

// chain is a delta and what it builds on, down to what is no delta, or whose content
// is known.
func (p *Pack) chain(i *inflater, f io.ReaderAt, offset, limit int64) (chain []link, kind plumbing.ObjectType, content []byte, err error) {
	for {
		if known, found := p.cache.Get(p.key(offset)); found && len(chain) > 0 {
			size := len(known) - 1
			return chain, plumbing.ObjectType(known[size]), known[:size:size], nil //nolint:gosec // that of an object
		}
		h, err := i.seek(f, offset)
		if err != nil {
			return nil, 0, nil, err
		}
		if h.size > limit {
			return nil, 0, nil, overLimit(h.size, limit)
		}
		if chain = append(chain, link{offset, h}); !h.kind.IsDelta() {
			return chain, h.kind, nil, nil
		}
		if len(chain) > MaxDepth {
			return nil, 0, nil, fmt.Errorf("%w: a chain of more than %d deltas", ErrLimit, MaxDepth)
		}
		if offset, err = p.baseOf(h, offset); err != nil {
			return nil, 0, nil, err
		}
	}
}

// baseOf is where the object stands that a delta builds on.
func (p *Pack) baseOf(h head, offset int64) (int64, error) {
	if h.kind == plumbing.OFSDeltaObject {
		if h.back <= 0 || h.back >= offset {
			return 0, errDelta
		}
		return offset - h.back, nil
	}
	at, found, err := p.Find(h.ref)
	if err == nil && !found {
		err = fmt.Errorf("object %s, the base of a delta, is not in the pack", h.ref)
	}
	return at, err
}

package gitpack

import (
	"bufio"
	"context"
	"crypto/sha1" //nolint:gosec // git's own checksum of packs
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	packHeader = 12
	packTrail  = sha1.Size
	// minEntry is the least that an object takes in a pack: a byte of head, and an
	// empty zlib stream.
	minEntry = 9
)

// received is a pack that came, in a file.
type received struct {
	file    *os.File
	size    int64
	limits  Limits
	entries []entry
	outside []outside // what it builds on and does not hold
	skipped int
	bases   Bases
}

// entry is an object of the pack. There can be a million of them: the fields are in
// an order without gaps.
type entry struct {
	offset int64
	size   int64 // of what stands in the pack, inflated
	made   int64 // of the object: of a delta, what it says that it makes
	hash   plumbing.Hash
	base   int32 // the entry that a delta builds on, or unknown, or noBase; below zero one from outside
	crc    uint32
	kind   plumbing.ObjectType // as it stands in the pack
	final  plumbing.ObjectType // of the object, once it is known
	head   uint8               // bytes before the compressed ones
	state  entryState
}

type entryState uint8

const (
	// hashed: the hash is that of the object. Of a delta that names its base by hash
	// it is that one before.
	hashed entryState = 1 << iota
	// kept: it is read, or what is read builds on it.
	kept
)

const (
	noBase  = math.MinInt32     // it is no delta
	unknown = math.MinInt32 + 1 // a delta names a base that nothing is known of yet
)

// outside is an object that deltas build on and that is not in the pack.
type outside struct {
	hash plumbing.Hash
	kind plumbing.ObjectType
	size int64
}

func (e *entry) isDelta() bool { return e.kind.IsDelta() }

// counted reads a file from its beginning, and ends with the context.
type counted struct {
	contextReader
	read int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.contextReader.Read(p)
	c.read += int64(n)
	return n, err
}

// scanner reads a pack once from front to end, and holds no object of it.
type scanner struct {
	*received
	from     *counted
	inflater inflater
	scratch  []byte
	inflated int64 // sum of what all objects inflate to, and what deltas make
	read     int64 // of that, what had to be hashed
}

// scan reads what a pack says of itself, and refuses one that is over the limits.
// What is hashed is no delta, and can be read for its size.
func scan(ctx context.Context, file *os.File, size int64, l Limits) (*received, error) {
	from := &counted{contextReader: contextReader{ctx, io.NewSectionReader(file, 0, size)}}
	s := &scanner{
		received: &received{file: file, size: size, limits: l}, from: from,
		inflater: inflater{in: bufio.NewReaderSize(from, 64<<10)}, scratch: make([]byte, 64<<10),
	}
	if err := s.all(); err != nil {
		return nil, err
	}
	return s.received, nil
}

func (s *scanner) all() error {
	count, err := s.header()
	if err != nil {
		return err
	}
	s.entries = make([]entry, 0, count)
	for range count {
		if err := s.next(); err != nil {
			return err
		}
	}
	switch rest := s.size - s.at(); {
	case rest < packTrail:
		return fmt.Errorf("read the pack: it ends before its checksum: %w", io.ErrUnexpectedEOF)
	case rest > packTrail:
		return fmt.Errorf("the server sends %d bytes after the end of the pack", rest-packTrail)
	}
	return nil
}

// at is where the next byte stands.
func (s *scanner) at() int64 { return s.from.read - int64(s.inflater.in.Buffered()) }

func (s *scanner) header() (count int, err error) {
	var header [packHeader]byte
	if _, err := io.ReadFull(s.inflater.in, header[:]); err != nil {
		return 0, fmt.Errorf("the server sends no pack: %w", err)
	}
	if string(header[:4]) != "PACK" {
		return 0, errors.New("the server sends no pack: unknown signature")
	}
	if version := binary.BigEndian.Uint32(header[4:]); version != 2 {
		return 0, fmt.Errorf("the server sends a pack of version %d, expected 2", version)
	}
	objects := int64(binary.BigEndian.Uint32(header[8:]))
	if objects > int64(s.limits.Objects) {
		return 0, fmt.Errorf("%w: the server sends %d objects, at most %d can be fetched at once", ErrLimit, objects, s.limits.Objects)
	}
	if objects*minEntry > s.size {
		return 0, fmt.Errorf("read the pack: it declares %d objects, more than fit in it: %w", objects, io.ErrUnexpectedEOF)
	}
	return int(objects), nil
}

// next takes one object in.
func (s *scanner) next() error {
	e := entry{offset: s.at(), base: noBase, state: 0}
	h, err := readHead(s.inflater.in)
	if err != nil {
		return fmt.Errorf("read the pack: %w", err)
	}
	e.kind, e.final, e.size, e.made, e.head = h.kind, h.kind, h.size, h.size, uint8(h.len) //nolint:gosec // ten bytes and a hash at most
	if err := s.count(e.size); err != nil {
		return err
	}
	switch {
	case e.isDelta():
		err = s.delta(&e, h)
	case e.kind == plumbing.BlobObject && e.size > s.limits.File:
		_, err = s.inflate(e.size, io.Discard) // unless something builds on it nobody asks for its hash
	default:
		err = s.hash(&e)
	}
	if err != nil {
		return err
	}
	s.entries = append(s.entries, e)
	return nil
}

// count adds to what the pack inflates to.
func (s *scanner) count(size int64) error {
	if s.inflated += size; s.inflated > s.limits.Inflated {
		return fmt.Errorf("%w: the server's pack of %d bytes inflates to more than %d, at object %d: the repository contains too much besides manifests",
			ErrLimit, s.size, s.limits.Inflated, len(s.entries)+1)
	}
	return nil
}

func (s *scanner) hash(e *entry) error {
	if s.read += e.size; s.read > s.limits.Inflated/2 {
		return tooMuchKept(s.limits)
	}
	hasher := plumbing.NewHasher(e.kind, e.size)
	if _, err := s.inflate(e.size, hasher); err != nil {
		return err
	}
	e.hash, e.state = hasher.Sum(), hashed
	return nil
}

func tooMuchKept(l Limits) error {
	return fmt.Errorf("%w: the objects of the server's pack have more than %d bytes together", ErrLimit, l.Inflated/2)
}

// delta reads how large an object is that a delta makes, and what it builds on.
func (s *scanner) delta(e *entry, h head) error {
	start := beginning{room: 2 * binary.MaxVarintLen64}
	if _, err := s.inflate(e.size, &start); err != nil {
		return err
	}
	_, made, _, err := deltaSizes(start.text)
	if err != nil {
		return fmt.Errorf("read the pack: object %d: %w", len(s.entries)+1, err)
	}
	e.made = made
	if h.kind == plumbing.REFDeltaObject {
		e.base, e.hash, e.final = unknown, h.ref, plumbing.InvalidObject
		return s.count(made)
	}
	at, found := s.find(e.offset - h.back)
	if !found {
		return fmt.Errorf("read the pack: object %d is a delta without a valid base: %w", len(s.entries)+1, errDelta)
	}
	e.base, e.final = int32(at), s.entries[at].final //nolint:gosec // as many as Limits.Objects
	return s.count(made)
}

// find is the entry at an offset.
func (s *scanner) find(offset int64) (int, bool) {
	low, high := 0, len(s.entries)
	for low < high {
		if middle := (low + high) / 2; s.entries[middle].offset < offset {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(s.entries) && s.entries[low].offset == offset
}

// inflate hands the next object over piece by piece.
func (s *scanner) inflate(size int64, to io.Writer) (int64, error) {
	err := s.inflater.begin()
	var n int64
	if err == nil {
		n, err = io.CopyBuffer(struct{ io.Writer }{to}, io.LimitReader(s.inflater.out, size), s.scratch)
	}
	if err == nil && n < size {
		err = errSize
	}
	if err == nil {
		err = s.inflater.end()
	}
	if err != nil {
		return n, fmt.Errorf("read the pack: object %d: %w", len(s.entries)+1, err)
	}
	return n, nil
}

// beginning keeps the first bytes of what is written.
type beginning struct {
	room int
	text []byte
}

func (b *beginning) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), b.room-len(b.text))]...)
	return len(p), nil
}

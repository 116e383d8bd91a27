package gitpack

import (
	"bufio"
	"bytes"
	"crypto/sha1" //nolint:gosec // git's own checksum of indexes
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// An index of git, version 2: a header of 8 bytes; for each first byte of a hash
// how many hashes begin with that or a lower one; then of all objects, in the order
// of their hashes, the hashes, the checksums of what stands in the pack, and the
// offsets, of which one with the highest bit set says where among the long ones that
// follow it stands; then the checksums of the pack and of the index.
const (
	indexHeader = 8
	indexFanout = 256 * 4
	indexHashes = indexHeader + indexFanout
	hashBytes   = len(plumbing.ZeroHash)
	indexTrail  = 2 * sha1.Size
	longOffset  = 1 << 31
)

var indexMagic = []byte("\xfftOc\x00\x00\x00\x02")

var errIndex = errors.New("the index is malformed")

// index finds objects of a pack by their hash.
type index struct {
	fanout [256]uint32
	count  int64
	long   int64 // offsets of eight bytes
}

func readIndex(from io.ReaderAt, size int64) (*index, error) {
	start := make([]byte, indexHashes)
	if _, err := from.ReadAt(start, 0); err != nil {
		return nil, fmt.Errorf("%w: %w", errIndex, inflateError(err))
	}
	if !bytes.Equal(start[:indexHeader], indexMagic) {
		return nil, fmt.Errorf("%w: it is not of version 2", errIndex)
	}
	x := &index{}
	for i := range x.fanout {
		x.fanout[i] = binary.BigEndian.Uint32(start[indexHeader+4*i:])
	}
	if !slices.IsSorted(x.fanout[:]) {
		return nil, errIndex
	}
	x.count = int64(x.fanout[255])
	rest := size - indexHashes - indexTrail - x.count*int64(hashBytes+8)
	if rest < 0 || rest%8 != 0 || rest/8 > x.count {
		return nil, fmt.Errorf("%w: it has %d bytes for %d objects", errIndex, size, x.count)
	}
	x.long = rest / 8
	return x, nil
}

// find returns the offset of an object in the pack.
func (x *index) find(from io.ReaderAt, hash plumbing.Hash) (offset int64, found bool, err error) {
	low, high := int64(0), int64(x.fanout[hash[0]])
	if hash[0] > 0 {
		low = int64(x.fanout[hash[0]-1])
	}
	var at plumbing.Hash
	for low < high {
		middle := (low + high) / 2
		if _, err := from.ReadAt(at[:], indexHashes+middle*int64(hashBytes)); err != nil {
			return 0, false, err
		}
		switch bytes.Compare(at[:], hash[:]) {
		case 0:
			offset, err = x.offset(from, middle)
			return offset, err == nil, err
		case -1:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false, nil
}

func (x *index) offset(from io.ReaderAt, at int64) (int64, error) {
	var number [8]byte
	offsets := indexHashes + x.count*int64(hashBytes+4)
	if _, err := from.ReadAt(number[:4], offsets+4*at); err != nil {
		return 0, err
	}
	short := binary.BigEndian.Uint32(number[:])
	if short < longOffset {
		return int64(short), nil
	}
	place := int64(short - longOffset)
	if place >= x.long {
		return 0, errIndex
	}
	if _, err := from.ReadAt(number[:], offsets+4*x.count+8*place); err != nil {
		return 0, err
	}
	long := binary.BigEndian.Uint64(number[:])
	if long > math.MaxInt64 {
		return 0, errIndex
	}
	return int64(long), nil
}

// writeIndex writes the index of a pack. An object that stands in it twice is an
// error: git refuses such a pack, and what builds on the second would not be found.
func writeIndex(to io.Writer, entries []entry, pack plumbing.Hash) error {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.hash[:], b.hash[:]) })
	var fanout [256]uint32
	for i := range entries {
		if i > 0 && entries[i].hash == entries[i-1].hash {
			return fmt.Errorf("%w: object %s occurs more than once", ErrUnfit, entries[i].hash)
		}
		fanout[entries[i].hash[0]]++
	}
	sum := sha1.New() //nolint:gosec // as above
	w := bufio.NewWriterSize(io.MultiWriter(to, sum), 64<<10)
	number := make([]byte, 0, 8)
	put := func(n uint32) { w.Write(binary.BigEndian.AppendUint32(number, n)) } //nolint:errcheck // Flush tells
	w.Write(indexMagic)                                                         //nolint:errcheck // as above, and all below
	total := uint32(0)
	for _, n := range fanout {
		total += n
		put(total)
	}
	for i := range entries {
		w.Write(entries[i].hash[:]) //nolint:errcheck
	}
	for i := range entries {
		put(entries[i].crc)
	}
	var long []uint64
	for i := range entries {
		if offset := entries[i].offset; offset < longOffset {
			put(uint32(offset)) //nolint:gosec // checked on the line before
		} else {
			put(longOffset | uint32(len(long))) //nolint:gosec // as many as objects
			long = append(long, uint64(offset)) //nolint:gosec // never below zero
		}
	}
	for _, offset := range long {
		w.Write(binary.BigEndian.AppendUint64(number, offset)) //nolint:errcheck
	}
	w.Write(pack[:]) //nolint:errcheck
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := to.Write(sum.Sum(nil))
	return err
}

package sources

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// checkPack reads a pack once, without holding an object in memory, and refuses
// one with an object larger than the limit: the indexer holds objects whole.
// Of a delta it is the size of what the delta makes that counts.
func checkPack(pack io.ReadSeeker, limit int64) error {
	if _, err := pack.Seek(0, io.SeekStart); err != nil {
		return err
	}
	scanner := packfile.NewScanner(pack)
	_, count, err := scanner.Header()
	if err != nil {
		return fmt.Errorf("the server sends no pack: %w", err)
	}
	for range count {
		header, err := scanner.NextObjectHeader()
		if err != nil {
			return fmt.Errorf("read the pack: %w", err)
		}
		size := header.Length
		content := &deltaHeader{limit: limit}
		if size <= limit {
			if _, _, err = scanner.NextObject(content); err != nil && !errors.Is(err, errTooMuch) {
				return fmt.Errorf("read the pack: %w", err)
			}
			if header.Type.IsDelta() {
				size = max(size, content.target())
			}
		}
		if size > limit || errors.Is(err, errTooMuch) {
			return fmt.Errorf("%w: the repository holds an object of %d bytes, and %d may be fetched: a file that large does not belong beside manifests",
				ErrLimit, size, limit)
		}
	}
	return nil
}

var errTooMuch = errors.New("inflates to more than it says")

// deltaHeader keeps the beginning of an object, where a delta says what size it
// takes and makes, and stops one that inflates without end.
type deltaHeader struct {
	limit int64
	seen  int64
	start []byte
}

func (d *deltaHeader) Write(p []byte) (int, error) {
	d.seen += int64(len(p))
	if d.seen > d.limit {
		return 0, errTooMuch
	}
	if room := 2*binary.MaxVarintLen64 - len(d.start); room > 0 {
		d.start = append(d.start, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// target is the size that a delta says it makes; 0 where it says none, which
// the indexer then tells.
func (d *deltaHeader) target() int64 {
	r := bytes.NewReader(d.start)
	if _, err := binary.ReadUvarint(r); err != nil {
		return 0
	}
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return 0
	}
	return int64(min(size, 1<<62)) //nolint:gosec // bounded on this line
}

package sources

import (
	"io"
	"math"
	"path/filepath"
	"sync"

	"github.com/go-git/go-billy/v5"
)

// heldFS keeps every pack open that was opened once, so that a snapshot can be
// read to its end though its generation was removed meanwhile. Go-git keeps
// packs open too, but opens them by name again for each object above 16 KiB.
//
// Nobody closes them: the system does with the last snapshot's memory.
type heldFS struct {
	billy.Filesystem

	mu   sync.Mutex
	held map[string]billy.File
}

// Open returns a file with a position of its own.
func (h *heldFS) Open(name string) (billy.File, error) {
	if filepath.Ext(name) != ".pack" {
		return h.Filesystem.Open(name)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	key := filepath.Base(name) // a pack's name is the hash of its content
	f, found := h.held[key]
	if !found {
		var err error
		if f, err = h.Filesystem.Open(name); err != nil {
			return nil, err
		}
		if h.held == nil {
			h.held = map[string]billy.File{}
		}
		h.held[key] = f
	}
	return &heldFile{File: f, reader: io.NewSectionReader(f, 0, math.MaxInt64)}, nil
}

type heldFile struct {
	billy.File
	reader *io.SectionReader
}

func (f *heldFile) Read(p []byte) (int, error)                 { return f.reader.Read(p) }
func (f *heldFile) ReadAt(p []byte, offset int64) (int, error) { return f.File.ReadAt(p, offset) }
func (f *heldFile) Close() error                               { return nil }

func (f *heldFile) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekEnd {
		return f.reader.Seek(offset, whence)
	}
	// The section has no end of its own, as its file's size is the file's to say.
	end, err := f.File.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	return f.reader.Seek(end+offset, io.SeekStart)
}

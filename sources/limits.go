package sources

import (
	"fmt"
	"sync"

	"github.com/pacer-gitops/pacer/sources/gitpack"
)

// Limits bound what a source may make of this machine. A zero field means its
// default.
type Limits struct {
	// FileBytes is the largest file that is read: 4 MiB. A larger one is listed,
	// and opening it fails with ErrLimit.
	FileBytes int64
	// Files is how many entries, files and folders, one snapshot lists: 100,000.
	// Listing the folder that exceeds it fails with ErrLimit.
	Files int
	// TotalBytes is how much content is read of one snapshot, each file counted
	// once: 256 MiB. Of a directory it is what the snapshot holds in memory.
	TotalBytes int64
	// Depth is how deep folders nest: 64.
	Depth int
	// FetchBytes is the largest pack that is fetched of a git repository, as it
	// comes over the wire: 1 GiB. One that needs more here, with what it builds
	// on, is fetched whole.
	FetchBytes int64
	// ObjectBytes is the largest object of a repository that is held in memory, a
	// folder or what a file that is read builds on: 32 MiB, as git lets files build
	// on ones that are larger, and seldom on ones that are much larger. Files above
	// FileBytes are not kept, and not fetched at all from servers that can leave them
	// out (uploadpack.allowFilter).
	ObjectBytes int64
	// InflatedBytes is how much a pack may inflate to, with all that its deltas make:
	// 4 GiB, half of it in objects that are read. A kilobyte on the wire can be a
	// megabyte, and with deltas a gigabyte.
	InflatedBytes int64
	// Objects is how many objects are fetched at once: 1,000,000.
	Objects int
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.FileBytes, 4<<20)
	orDefault(&l.Files, 100_000)
	orDefault(&l.TotalBytes, 256<<20)
	orDefault(&l.Depth, 64)
	orDefault(&l.FetchBytes, 1<<30)
	orDefault(&l.ObjectBytes, 32<<20)
	orDefault(&l.InflatedBytes, 4<<30)
	orDefault(&l.Objects, 1_000_000)
	return l
}

// ofPacks are those of what is fetched.
func (l Limits) ofPacks() gitpack.Limits {
	return gitpack.Limits{Bytes: l.FetchBytes, Objects: l.Objects, Inflated: l.InflatedBytes, Object: l.ObjectBytes, File: l.FileBytes}
}

// maxFolders is how many bytes of folders one snapshot reads, which stay in memory:
// a million entries' usual ones.
const maxFolders = 64 << 20

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// meter counts what has been read of one snapshot, by path, so that reading
// the same twice costs once.
type meter struct {
	limits Limits

	mu      sync.Mutex
	entries int
	bytes   int64
	listed  map[string]bool
	read    map[string]bool
}

func newMeter(l Limits) *meter {
	return &meter{limits: l, listed: map[string]bool{}, read: map[string]bool{}}
}

func (m *meter) list(path string, entries int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.listed[path] {
		return nil
	}
	if m.entries+entries > m.limits.Files {
		return fmt.Errorf("%w: %d entries here and %d before exceed the limit of %d",
			ErrLimit, entries, m.entries, m.limits.Files)
	}
	m.listed[path] = true
	m.entries += entries
	return nil
}

func (m *meter) take(path string, bytes int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read[path] {
		return nil
	}
	if m.bytes+bytes > m.limits.TotalBytes {
		return fmt.Errorf("%w: its %d bytes exceed the limit of %d bytes",
			ErrLimit, bytes, m.limits.TotalBytes)
	}
	m.read[path] = true
	m.bytes += bytes
	return nil
}

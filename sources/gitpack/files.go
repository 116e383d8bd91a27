package gitpack

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// maxOpen is how many packs this process keeps open, besides those that are being
// read from: to open one for each object takes longer than to read it.
const maxOpen = 8

// openFiles are the packs that were read from last, the latest first. An open file
// has no position that counts, and may be read by several.
var openFiles struct {
	sync.Mutex
	list []*openFile
}

type openFile struct {
	*os.File
	users int
	left  bool // not of the list any more: it is closed with its last user
}

// openShared opens a file, or takes one that is open. It must be released.
func openShared(path string) (*openFile, error) {
	openFiles.Lock()
	defer openFiles.Unlock()
	at := slices.IndexFunc(openFiles.list, func(f *openFile) bool { return f.Name() == path })
	if at >= 0 {
		f := openFiles.list[at]
		copy(openFiles.list[1:at+1], openFiles.list[:at])
		openFiles.list[0] = f
		f.users++
		return f, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := &openFile{File: file, users: 1}
	openFiles.list = slices.Insert(openFiles.list, 0, f)
	if len(openFiles.list) > maxOpen {
		openFiles.list[maxOpen].leave()
		openFiles.list = openFiles.list[:maxOpen]
	}
	return f, nil
}

// release says that the file is no longer read by whoever opened it.
func (f *openFile) release() {
	openFiles.Lock()
	defer openFiles.Unlock()
	if f.users--; f.left && f.users == 0 {
		_ = f.Close() // only read
	}
}

func (f *openFile) leave() {
	if f.left = true; f.users == 0 {
		_ = f.Close() // only read
	}
}

// Forget closes the packs below a folder that is removed: as long as they are open
// the system keeps them.
func Forget(folder string) {
	openFiles.Lock()
	defer openFiles.Unlock()
	openFiles.list = slices.DeleteFunc(openFiles.list, func(f *openFile) bool {
		below := strings.HasPrefix(f.Name(), filepath.Clean(folder)+string(filepath.Separator))
		if below {
			f.leave()
		}
		return below
	})
}

package store

import (
	"errors"
	"os"
	"path/filepath"
)

// files is what replacing a file needs of a disk. Tests put one in that fails.
type files interface {
	createTemp(folder, pattern string) (file, error)
	rename(from, to string) error
	remove(name string) error
	// extend adds a line to a file, whole or not at all, or tells errNoLine.
	extend(name string, line []byte) error
	// syncFolder makes renames in a folder outlive a power cut.
	syncFolder(folder string) error
}

type file interface {
	Name() string
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

// replace gives a file of a folder new content: whoever reads it, also after the
// process was killed or the power cut at any moment, finds the old content whole
// or the new content whole.
func replace(d files, folder, name string, content []byte) (err error) {
	temp, err := d.createTemp(folder, temporary+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(d.remove(temp.Name())))
		}
	}()
	_, err = temp.Write(content)
	if err == nil {
		err = temp.Sync()
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err = d.rename(temp.Name(), filepath.Join(folder, name)); err != nil {
		return err
	}
	return d.syncFolder(folder)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// disk is the real one.
type disk struct{}

func (disk) createTemp(folder, pattern string) (file, error) { return os.CreateTemp(folder, pattern) }
func (disk) rename(from, to string) error                    { return os.Rename(from, to) }
func (disk) remove(name string) error                        { return os.Remove(name) }

func (disk) syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// errNoLine: a file is not there, does not end in a whole line, or has enough lines.
var errNoLine = errors.New("no line to continue from")

func (disk) extend(name string, line []byte) (err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, os.ErrNotExist) {
		return errNoLine
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil || last[0] != '\n' {
		return errNoLine
	}
	if _, err = f.Write(line); err == nil {
		err = f.Sync()
	}
	if err != nil {
		err = errors.Join(err, f.Truncate(info.Size()))
	}
	return err
}

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// probeSize is how many bytes a probe of a folder writes: more than the rest of a
// block that a file system may have though it is full.
const probeSize = 64 << 10

// Probe writes a file and removes it. An error says why nothing could be saved now:
// the disk is full, the folder is read-only, gone, or of somebody else.
func (f *File) Probe(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return os.ErrClosed
	}
	if err := f.probe(); err != nil {
		return fmt.Errorf("state folder: cannot write: %w", err)
	}
	return nil
}

func (f *File) probe() error {
	temp, err := f.files.createTemp(f.folder, temporary+"*")
	if err != nil {
		return err
	}
	_, err = temp.Write(make([]byte, probeSize))
	if err == nil {
		err = temp.Sync() // a file system may find out late that it is full
	}
	return errors.Join(err, temp.Close(), ignoreMissing(f.files.remove(temp.Name())))
}

// Probe reads what lists the syncs. Whether this process may write is for its lease
// to say.
func (z *ZooKeeper) Probe(ctx context.Context) error {
	err := z.call(ctx, func(c *zookeeper.Conn) error {
		_, err := newest(c, path.Join(z.root(), recordsNode))
		return err
	})
	if err != nil {
		return fmt.Errorf("the state in ZooKeeper cannot be read: %w", err)
	}
	return nil
}

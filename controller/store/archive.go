package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Archive keeps what revisions ask of a sync, so that a rollback needs neither
// git nor what a clone has kept. Content is named by its checksum; a State says
// which revision has which.
type Archive interface {
	// Keep stores content, whole or not at all.
	Keep(ctx context.Context, sync, sum string, content []byte) error
	// Recall returns what Keep was given. Where nothing is there the error
	// wraps os.ErrNotExist.
	Recall(ctx context.Context, sync, sum string) ([]byte, error)
	// Retain removes all content of a sync but that of these checksums.
	Retain(ctx context.Context, sync string, sums []string) error
}

const (
	keptPrefix = "kept-"
	keptSuffix = ".gz" // the controller compresses
	// maxKept is how many bytes a content may have, in a file as in nodes.
	maxKept = maxChunks * maxChunk
	// sumLength is how many characters of a checksum are in the name of a file.
	sumLength = 32
)

// shortSum is what of a checksum is in the name of a file or node.
func shortSum(sum string) (string, error) {
	if _, err := hex.DecodeString(sum); err != nil || len(sum) < sumLength {
		return "", fmt.Errorf("%q is not a checksum", sum)
	}
	return sum[:sumLength], nil
}

// keptPath returns the file of one content. Several syncs never share one: what
// follows the name of the sync has the same length in all.
func (f *File) keptPath(ctx context.Context, sync, sum string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", toldKept(sync, err)
	}
	short, err := shortSum(sum)
	if err != nil {
		return "", toldKept(sync, err)
	}
	name, err := escaped(sync)
	if err != nil {
		return "", toldKept(sync, err)
	}
	return filepath.Join(f.folder, keptPrefix+name+"-"+short+keptSuffix), nil
}

// toldKept says of which sync an error is.
func toldKept(sync string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("kept revisions of sync %q: %w", sync, err)
}

// Keep stores content in a file of its own, see Archive.
func (f *File) Keep(ctx context.Context, sync, sum string, content []byte) error {
	name, err := f.keptPath(ctx, sync, sum)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return toldKept(sync, os.ErrClosed)
	}
	if err := replace(f.files, f.folder, filepath.Base(name), content); err != nil {
		return toldKept(sync, err)
	}
	return nil
}

// Recall reads content, see Archive.
func (f *File) Recall(ctx context.Context, sync, sum string) ([]byte, error) {
	name, err := f.keptPath(ctx, sync, sum)
	if err != nil {
		return nil, err
	}
	content, err := readBounded(name, maxKept)
	if err != nil {
		return nil, toldKept(sync, err)
	}
	return content, nil
}

// Retain removes files, see Archive.
func (f *File) Retain(ctx context.Context, sync string, sums []string) error {
	stays := map[string]bool{}
	for _, sum := range sums {
		name, err := f.keptPath(ctx, sync, sum)
		if err != nil {
			return err
		}
		stays[filepath.Base(name)] = true
	}
	zero := strings.Repeat("0", sumLength)
	pattern, err := f.keptPath(ctx, sync, zero)
	if err != nil {
		return err
	}
	before, length := strings.TrimSuffix(filepath.Base(pattern), zero+keptSuffix), len(filepath.Base(pattern))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lock == nil {
		return toldKept(sync, os.ErrClosed)
	}
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		return toldKept(sync, err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		return !strings.HasPrefix(e.Name(), before) || len(e.Name()) != length || stays[e.Name()]
	})
	var errs []error
	for _, e := range entries {
		errs = append(errs, os.Remove(filepath.Join(f.folder, e.Name())))
	}
	return errors.Join(errs...)
}

package oneshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/google/uuid"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// LiveItems are all definitions that Marathon has, as manifests exports them.
func LiveItems(s marathon.State) []manifests.Item {
	items := make([]manifests.Item, 0, len(s.Apps)+len(s.Pods)+len(s.Groups))
	for id, a := range s.Apps {
		items = append(items, manifests.Item{ID: id, Kind: manifests.KindApp, App: a.Definition})
	}
	for id, p := range s.Pods {
		items = append(items, manifests.Item{ID: id, Kind: manifests.KindPod, Pod: p.Definition})
	}
	for id, g := range s.Groups {
		items = append(items, manifests.Item{ID: id, Kind: manifests.KindGroup, Group: g})
	}
	return items
}

// WriteExport writes exported files to a folder, and returns how many it wrote: not
// those that are there already. Unless force is set it writes nothing if one of them
// is there and differs.
func WriteExport(ctx context.Context, dir string, files []manifests.ExportedFile, force bool) (written int, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return 0, fmt.Errorf("flag --out: %w", err)
	}
	// No link in the folder may lead what is written out of it.
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("flag --out: %w", err)
	}
	defer root.Close()
	var missing []manifests.ExportedFile
	var differ []string
	for _, f := range files {
		present, err := root.ReadFile(f.Name)
		switch {
		case err == nil && bytes.Equal(present, f.Content):
			continue
		case err == nil:
			differ = append(differ, f.Name)
		case !errors.Is(err, fs.ErrNotExist):
			return 0, fmt.Errorf("cannot compare %s in %s: %w", f.Name, dir, err)
		}
		missing = append(missing, f)
	}
	if len(differ) > 0 && !force {
		return 0, fmt.Errorf("%d files in %s differ from the live definitions, the first is %s: nothing was written; --force replaces them", len(differ), dir, differ[0])
	}
	for i, f := range missing {
		if err := ctx.Err(); err != nil {
			return i, err
		}
		if err := writeWhole(root, f.Name, f.Content); err != nil {
			return i, fmt.Errorf("%d of %d files were written to %s: %w", i, len(missing), dir, err)
		}
	}
	return len(missing), nil
}

// writeWhole puts a file in place all at once. What is left of it if the
// process dies has a hidden name, so it is no manifest.
func writeWhole(root *os.Root, name string, content []byte) error {
	folder := path.Dir(name)
	if err := root.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	temporary := path.Join(folder, ".pacer-"+uuid.NewString())
	err := root.WriteFile(temporary, content, 0o666)
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		_ = root.Remove(temporary) // it may not be there, and err says what is wrong
	}
	return err
}

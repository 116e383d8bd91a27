package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
)

// A probe says whether something could be saved, changes nothing of what is saved,
// and leaves nothing behind, whatever step of it fails.
func TestAProbeOfAFolderLeavesNothing(t *testing.T) {
	for _, step := range []string{"", "create", "write", "sync", "close"} {
		t.Run(step, func(t *testing.T) {
			folder := t.TempDir()
			f, err := OpenFile(folder)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			saved(t, f, "shop", sample(1))
			f.files = faulty{disk{}, step}
			err = f.Probe(t.Context())
			if (err == nil) != (step == "") || err != nil && !errors.Is(err, errDiskFull) {
				t.Errorf("a probe whose %q fails: %v", step, err)
			}
			f.files = disk{}
			holds(t, f, "shop", sample(1))
			if left, err := filepath.Glob(filepath.Join(folder, temporary+"*")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Run("the folder is gone", func(t *testing.T) {
		folder := filepath.Join(t.TempDir(), "state")
		f, err := OpenFile(folder)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		if err := f.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot write") {
			t.Errorf("a probe of no folder: %v", err)
		}
	})
}

// Without a server what is kept cannot be read, and it can again after that.
func TestAProbeOfZooKeeperNeedsAServer(t *testing.T) {
	e := zktest.Shared(t)
	z := openZooKeeper(t, inZooKeeper(t, e))
	if err := z.Probe(t.Context()); err != nil {
		t.Errorf("before anything is saved: %v", err)
	}
	saved(t, z, "shop", sample(1))
	for _, s := range e.Servers() {
		s.Freeze()
	}
	if err := z.Probe(soon(t)); err == nil {
		t.Error("frozen servers are said to be read")
	}
	e.Heal(t)
	if err := z.Probe(t.Context()); err != nil {
		t.Errorf("with servers again: %v", err)
	}
}

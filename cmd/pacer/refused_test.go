package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/sources"
)

// TestRefusedEntriesReachTheReader: what a snapshot does not show is no absence.
// The two packages know nothing of each other, so only here can it be seen.
func TestRefusedEntriesReachTheReader(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.json"), []byte(`{"id": "/a", "cmd": "sleep 1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.json", filepath.Join(root, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	d, err := sources.NewDirectory(sources.DirectoryOptions{Path: root})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	s, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	desired := manifests.NewReader().Read(s.FS, manifests.Options{})
	if len(desired.Items) != 1 || !slices.Equal(desired.Unreadable, []string{"link.yaml"}) ||
		!strings.HasPrefix(desired.Problems[0].String(), "link.yaml: is a symlink") {
		t.Errorf("%d items, unreadable %q, problems %v", len(desired.Items), desired.Unreadable, desired.Problems)
	}
}

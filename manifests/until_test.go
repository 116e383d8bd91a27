package manifests

import (
	"errors"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestReadUntil: reading ends between files, tells nothing of what it has read
// by then, and the next time knows no less than a reader that never began.
func TestReadUntil(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 1000 {
		files[fmt.Sprintf("g%d/app%d.json", i%10, i)] = app(fmt.Sprintf("/app%d", i), "sleep 1")
	}
	enough := errors.New("enough")
	for _, each := range []func(int, func(int)){nil, sideBySide} {
		r := NewReader()
		for most := 0; most < 1000; most += 333 {
			s := newSnapshot(files)
			ended := func() error {
				if len(s.opened) > most {
					return enough
				}
				return nil
			}
			d, err := r.ReadUntil(ended, s, Options{Each: each})
			if !errors.Is(err, enough) || d.Items != nil || d.Problems != nil {
				t.Errorf("after %d files: %v, %d items, problems %q", most, err, len(d.Items), texts(d))
			}
			if len(s.opened) > most+1 {
				t.Errorf("opened %d, want at most %d", len(s.opened), most+1)
			}
		}
		if diff := cmp.Diff(NewReader().Read(newSnapshot(files), Options{}), r.Read(newSnapshot(files), Options{Each: each})); diff != "" {
			t.Error(diff)
		}
	}
}

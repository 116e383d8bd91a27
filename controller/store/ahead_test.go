package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
)

// sending is a state with what is about to be sent of an id.
func sending(s State, ids ...string) State {
	s.Sent, s.Healthy = nil, nil // as it is saved where there is none
	if len(ids) > 0 {
		s.Sent, s.Healthy = map[string]Sent{}, map[string]plan.Healthy{}
	}
	for _, id := range ids {
		s.Sent[id] = Sent{Kind: manifests.KindApp, Revision: "abc", Action: plan.Scale, Began: time.Unix(1700000000, 0).UTC(), Body: "b"}
		s.Healthy[id] = plan.Healthy{Revision: "abb", App: &manifests.App{ID: id}}
	}
	return s
}

func sendingSaved(t *testing.T, f *File, s State) {
	t.Helper()
	if err := f.SaveAhead(t.Context(), "shop", s); err != nil {
		t.Fatal(err)
	}
	holds(t, f, "shop", s)
}

func TestWhatIsSentIsSavedBesideTheState(t *testing.T) {
	folder := t.TempDir()
	f := open(t, folder)
	sendingSaved(t, f, sending(sample(3), "/shop/first")) // there is no state yet
	for _, s := range []State{sending(sample(3), "/shop/a"), sending(sample(3), "/shop/a", "/shop/b"), sending(sample(3))} {
		sendingSaved(t, f, s)
	}
	saved(t, f, "shop", sending(sample(4), "/shop/c"))
	holds(t, f, "shop", sending(sample(4), "/shop/c"))
	sendingSaved(t, f, sending(sample(4), "/shop/d"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, open(t, folder), "shop", sending(sample(4), "/shop/d"))
	if err := f.SaveAhead(t.Context(), "shop", sample(1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("of a closed folder: %v", err)
	}
}

// A process that is killed while it writes has sent nothing on what it wrote.
func TestWhatWasHalfWrittenWasNotSent(t *testing.T) {
	folder := t.TempDir()
	f := open(t, folder)
	saved(t, f, "shop", sending(sample(3), "/shop/a"))
	sendingSaved(t, f, sending(sample(3), "/shop/b"))
	file := filepath.Join(folder, "sync-shop.json")
	before, _ := os.ReadFile(file)
	sendingSaved(t, f, sending(sample(3), "/shop/c"))
	after, _ := os.ReadFile(file)
	for cut := len(before); cut < len(after); cut++ {
		if err := os.WriteFile(file, after[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, f, "shop", sending(sample(3), "/shop/b"))
	}
	sendingSaved(t, f, sending(sample(3), "/shop/d")) // after half a line: all is written
	if now, _ := os.ReadFile(file); bytes.Count(now, []byte{'\n'}) != 1 {
		t.Errorf("the half line is still there:\n%s", now)
	}
}

// A power cut may leave a hole where the disk had written the end of a line, and
// not yet all before it: nothing was sent on that either.
func TestALineWithAHoleWasNotSent(t *testing.T) {
	folder := t.TempDir()
	f := open(t, folder)
	saved(t, f, "shop", sending(sample(3), "/shop/a"))
	file := filepath.Join(folder, "sync-shop.json")
	before, _ := os.ReadFile(file)
	sendingSaved(t, f, sending(sample(3), "/shop/b"))
	after, _ := os.ReadFile(file)
	clear(after[len(before)+10 : len(before)+100])
	if err := os.WriteFile(file, after, 0o600); err != nil {
		t.Fatal(err)
	}
	holds(t, f, "shop", sending(sample(3), "/shop/a"))
	sendingSaved(t, f, sending(sample(3), "/shop/c")) // after it no line may follow
	holds(t, f, "shop", sending(sample(3), "/shop/c"))
}

// While Marathon takes nothing there is no other save for long.
func TestLinesDoNotPileUp(t *testing.T) {
	folder := t.TempDir()
	f := open(t, folder)
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = fmt.Sprintf("/shop/app-%d", i)
	}
	s := sending(sample(3), ids...)
	saved(t, f, "shop", s)
	line, err := encodeAhead(s)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		sendingSaved(t, f, s)
		info, err := os.Stat(filepath.Join(folder, "sync-shop.json"))
		if err != nil {
			t.Fatal(err)
		}
		if most := int64(2*len(line) + mostAhead); info.Size() > most {
			t.Fatalf("%d bytes, want %d at most", info.Size(), most)
		}
	}
}

func TestAFullDiskIsToldAndLeavesTheState(t *testing.T) {
	f := open(t, t.TempDir())
	saved(t, f, "shop", sample(2))
	f.files = faulty{step: "extend"}
	if err := f.SaveAhead(t.Context(), "shop", sending(sample(2), "/shop/a")); !errors.Is(err, errDiskFull) {
		t.Fatalf("SaveAhead: %v, want the disk's error", err)
	}
	holds(t, f, "shop", sample(2))
	f.files = disk{}
	sendingSaved(t, f, sending(sample(2), "/shop/b"))
}

func TestEveryFlippedByteOfWhatWasSentIsNoticed(t *testing.T) {
	whole, err := encode(sample(1), "shop")
	if err != nil {
		t.Fatal(err)
	}
	line, err := encodeAhead(sending(State{}, "/shop/a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(append(bytes.Clone(whole), line...), "shop"); err != nil {
		t.Fatal(err)
	}
	for i := range len(line) - 1 { // without its end it is half a line
		changed := append(bytes.Clone(whole), line...)
		changed[len(whole)+i] ^= 1
		if s, err := decode(changed, "shop"); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d: %v, %v", i, cmp.Diff(sample(1), s), err)
		}
	}
}

// A line costs the same whatever else is known of the sync.
func BenchmarkSaveAhead(b *testing.B) {
	f, err := OpenFile(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	s := sending(large(), "/shop/a")
	if err := f.Save(b.Context(), "shop", s); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := f.SaveAhead(b.Context(), "shop", s); err != nil {
			b.Fatal(err)
		}
	}
}

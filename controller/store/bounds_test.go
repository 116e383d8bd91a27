package store

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
)

// allocated is how many bytes f takes from the heap in all.
func allocated(f func()) int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64() - before)
}

// zipped compresses parts, some of them many times.
func zipped(tb testing.TB, begin, more string, times int, end string) []byte {
	tb.Helper()
	var b bytes.Buffer
	member := func(text string) []byte {
		b.Reset()
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
		return bytes.Clone(b.Bytes())
	}
	return bytes.Join([][]byte{member(begin), bytes.Repeat(member(strings.Repeat(more, 1<<18/len(more))), times), member(end)}, nil)
}

// bombs are states that are small as they are stored, and large once read. The
// checksum is what stands last in the way, and whoever writes can give it.
func bombs(tb testing.TB, times int) map[string][]byte {
	const begin = `{"format":1,"sync":"shop","sum":"` + "0123456789abcdef" + `","state":{"inventory":{},`
	return map[string][]byte{
		"history": zipped(tb, begin+`"history":[`, `{},`, times, `{}]}}`+"\n"),
		"changes": zipped(tb, begin+`"history":[{"changes":[`, `{},`, times, `{}]}]}}`+"\n"),
		"names":   zipped(tb, begin+`"approved":{`, `"a":"",`, times, `"a":""}}}`+"\n"),
		"blanks":  zipped(tb, begin+`"approved":{`, ` `, times, `}}}`+"\n"),
		"a text":  zipped(tb, begin+`"approved":{"a":"`, `a`, times, `"}}}`+"\n"),
		"depth":   zipped(tb, begin+`"kept":`, `[`, times, `]`),
		"lines":   zipped(tb, begin[:len(begin)-1]+"}}\n"+`{"sum":"","ahead":{"sent":{`, `"a":{},`, times, `"a":{}}}}`+"\n"),
		"zeros":   zipped(tb, "", "\x00", times, ""),
	}
}

func TestStoredBombs(t *testing.T) {
	for name, packed := range bombs(t, 1800) { // 460 KB that are 450 MB
		var err error
		n := allocated(func() { _, err = decodePacked(packed, "shop") })
		t.Logf("%s: %d KiB allocated for %d KiB: %.200v", name, n>>10, len(packed)>>10, err)
		if !errors.Is(err, ErrCorrupt) || n > 64<<20 {
			t.Errorf("%s: %d MiB allocated, %v", name, n>>20, err)
		}
	}
}

func TestStateFilesAreBounded(t *testing.T) {
	folder := t.TempDir()
	f, err := OpenFile(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	name := filepath.Join(folder, prefix+"shop"+suffix)
	check := func(what string) {
		t.Helper()
		var err error
		n := allocated(func() { _, err = f.Peek(t.Context(), "shop") })
		if !errors.Is(err, ErrCorrupt) || n > 64<<20 {
			t.Errorf("%s: %d MiB allocated, %v", what, n>>20, err)
		}
	}
	if err := os.WriteFile(name, []byte(`{"format":1,"sync":"shop","sum":"","state":{"history":[`+strings.Repeat(`{},`, 4<<20)+`{}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	check("a file of empty entries")
	if err := os.Truncate(name, 2<<30); err != nil { // with a hole: it takes no room
		t.Fatal(err)
	}
	check("a file of 2 GiB")
	kept := filepath.Join(folder, keptPrefix+"shop-"+strings.Repeat("0", sumLength)+keptSuffix)
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(kept, 2<<30); err != nil {
		t.Fatal(err)
	}
	n := allocated(func() { _, err = f.Recall(t.Context(), "shop", strings.Repeat("0", 64)) })
	if err == nil || n > 1<<20 {
		t.Errorf("a kept revision of 2 GiB: %d MiB allocated, %v", n>>20, err)
	}
}

// TestBombsInZooKeeper: as another client of the ensemble may have left them.
func TestBombsInZooKeeper(t *testing.T) {
	e := zktest.Shared(t)
	for name, packed := range map[string][]byte{
		"entries":              bombs(t, 1800)["history"],
		"a child of much more": bytes.Repeat([]byte{0}, maxChunk+1),
	} {
		o := inZooKeeper(t, e)
		z, conn := openZooKeeper(t, o), dial(t, e, o)
		node := path.Join(o.Connection.Root, recordsNode, "shop")
		if err := conn.Make(node); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Set(node, []byte(`{"format":1,"generation":"0123456789abcdef","chunks":1}`), -1); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Create(path.Join(node, "0123456789abcdef-0000"), packed, 0, conn.ACL()); err != nil {
			t.Fatal(err)
		}
		var err error
		n := allocated(func() { _, err = z.Peek(t.Context(), "shop") })
		if !errors.Is(err, ErrCorrupt) || n > 64<<20 {
			t.Errorf("%s: %d MiB allocated, %v", name, n>>20, err)
		}
	}
}

// TestWhatIsSavedCanBeRead: nothing is saved that would be refused as too large.
func TestWhatIsSavedCanBeRead(t *testing.T) {
	s := sample(3)
	for i := range 20_000 { // as alike as can be
		s.Stands[fmt.Sprintf("/shop/app%05d", i)] = Stand{State: "synced", Since: s.Stands["/shop/app0"].Since}
		s.Inventory[fmt.Sprintf("/shop/app%05d", i)] = Owned{Kind: "app"}
	}
	b, err := encode(s, "shop")
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := pack(b, maxChunk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodePacked(bytes.Join(chunks, nil), "shop"); err != nil {
		t.Error(err)
	}
	s.History[0].Message = strings.Repeat("a", 5<<20)
	if _, err := encode(s, "shop"); err == nil {
		t.Error("a state is encoded that cannot be read")
	}
	f, err := OpenFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Save(t.Context(), "shop", s); err == nil {
		t.Error("a state is saved in a file that cannot be read")
	}
}

// The state of a sync of ten thousand apps takes about 0.6 MB in ZooKeeper, each with
// its own hash and since its own time, as docs/configuration.md says.
func TestSizeOfTheStateOfTenThousandApps(t *testing.T) {
	s := huge()
	s.History = s.History[:0]
	for id := range s.Inventory {
		since := time.Unix(1_700_000_000+random.Int64N(10_000_000), random.Int64N(1_000_000_000))
		o := s.Inventory[id]
		o.Hash = fmt.Sprintf("%016x%016x%016x%016x", random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64())
		s.Inventory[id] = o
		s.Stands[id] = Stand{State: "synced", Health: "healthy", Since: since}
	}
	b, err := encode(s, "shop")
	if err != nil {
		t.Fatal(err)
	}
	chunks, err := pack(b, maxChunk)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, c := range chunks {
		size += len(c)
	}
	if size < 500_000 || size > 700_000 {
		t.Errorf("%d bytes", size)
	}
}

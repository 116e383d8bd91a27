package gitpack

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

var limits = Limits{Bytes: 64 << 20, Objects: 10_000, Inflated: 32 << 20, Object: 1 << 20, File: 100 << 10}

// built is a pack that is being made by hand.
type built struct {
	count int
	body  bytes.Buffer
	made  [][]byte // contents of all objects, as they are whole
}

// add adds what stands in the pack as it is given, and returns where.
func (b *built) add(h head, content, made []byte) int64 {
	at := int64(packHeader + b.body.Len())
	h.size = int64(len(content))
	b.body.Write(appendHead(nil, h))
	z := zlib.NewWriter(&b.body)
	z.Write(content) //nolint:errcheck // to memory
	z.Close()        //nolint:errcheck
	b.count++
	b.made = append(b.made, made)
	return at
}

func (b *built) blob(content []byte) int64 {
	return b.add(head{kind: plumbing.BlobObject}, content, content)
}

// on adds a delta on what stands at an offset.
func (b *built) on(base int64, from, to []byte) int64 {
	return b.add(head{kind: plumbing.OFSDeltaObject, back: int64(packHeader+b.body.Len()) - base}, delta(from, to), to)
}

// onHash adds a delta on what is named by its hash.
func (b *built) onHash(from, to []byte) int64 {
	return b.add(head{kind: plumbing.REFDeltaObject, ref: hashOf(from)}, delta(from, to), to)
}

func (b *built) pack() []byte {
	out := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), uint32(b.count))
	out = append(out, b.body.Bytes()...)
	sum := sha1.Sum(out)
	return append(out, sum[:]...)
}

func hashOf(content []byte) plumbing.Hash {
	return plumbing.ComputeHash(plumbing.BlobObject, content)
}

// delta copies what both begin with, and adds the rest.
func delta(from, to []byte) []byte {
	out := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(from))), uint64(len(to)))
	same := 0
	for same < min(len(from), len(to), 0xffff) && from[same] == to[same] {
		same++
	}
	if same > 0 {
		out = append(out, 0xb0, byte(same), byte(same>>8))
	}
	for rest := to[same:]; len(rest) > 0; {
		n := min(len(rest), 127)
		out = append(append(out, byte(n)), rest[:n]...)
		rest = rest[n:]
	}
	return out
}

func nothing(plumbing.Hash, int64) (plumbing.ObjectType, []byte, error) {
	return 0, nil, plumbing.ErrObjectNotFound
}

func receive(t testing.TB, pack []byte, l Limits, bases Bases) (*Pack, Stored, error) {
	t.Helper()
	dir := t.TempDir()
	s, err := Receive(t.Context(), dir, bytes.NewReader(pack), l, bases)
	left, _ := os.ReadDir(dir)
	if err != nil {
		if len(left) > 0 {
			t.Errorf("files are left of a pack that was refused: %v", left)
		}
		return nil, s, err
	}
	if len(left) != 2 {
		t.Errorf("there are %v", left)
	}
	path := filepath.Join(dir, s.Name)
	p, err := Open(path, cache.NewBufferLRU(1<<20))
	if err == nil {
		err = p.Verify()
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("git", "verify-pack", path+".pack").CombinedOutput(); err != nil {
		t.Errorf("git verify-pack: %v\n%s", err, out)
	}
	return p, s, nil
}

func (p *Pack) wantBlob(t testing.TB, content []byte) {
	t.Helper()
	at, found, err := p.Find(hashOf(content))
	if err != nil || !found {
		t.Errorf("object of %d bytes: found %t, %v", len(content), found, err)
		return
	}
	o, err := p.Read(at, MaxChain, MaxChain)
	if err != nil {
		t.Error(err)
		return
	}
	defer o.Close()
	size, err := p.Size(at)
	got, readErr := o.All(MaxChain)
	if err := errors.Join(err, readErr); err != nil || size != int64(len(content)) || o.Kind != plumbing.BlobObject || !bytes.Equal(got, content) {
		t.Errorf("object of %d bytes: got %d of %d, %s, %v", len(content), len(got), size, o.Kind, err)
	}
}

func (p *Pack) wantNone(t testing.TB, content []byte) {
	t.Helper()
	if _, found, err := p.Find(hashOf(content)); found || err != nil {
		t.Errorf("object of %d bytes: found %t, %v", len(content), found, err)
	}
}

func text(n int, mark string) []byte {
	return append(bytes.Repeat([]byte("0123456789abcdef"), n/16), mark...)
}

func TestLargeFilesAreLeftOut(t *testing.T) {
	t.Parallel()
	small, large, huge, needed := text(1000, "small"), text(200<<10, "large"), text(3<<20, "huge"), text(300<<10, "needed")
	edited := append(bytes.Clone(large), "edited"...)
	onNeeded, onSmall := text(4000, "on needed"), text(1000, "on small")
	var b built
	atLarge := b.blob(large)
	b.on(atLarge, large, edited) // as large, and nobody builds on it
	atSmall := b.blob(small)
	b.blob(huge)
	atNeeded := b.blob(needed)
	b.on(atNeeded, needed, onNeeded)
	b.on(atSmall, small, onSmall) // over what is left out
	p, s, err := receive(t, b.pack(), limits, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range [][]byte{small, needed, onNeeded, onSmall} {
		p.wantBlob(t, content)
	}
	for _, content := range [][]byte{large, edited, huge} {
		p.wantNone(t, content)
	}
	if s.Skipped != 3 {
		t.Errorf("%d were left out, want 3", s.Skipped)
	}
}

func TestDeltasByHash(t *testing.T) {
	t.Parallel()
	one, two, three, four := text(1000, "1"), text(2000, "2"), text(3000, "3"), text(4000, "4")
	large := text(300<<10, "large")
	here := text(500, "here")
	bases := func(hash plumbing.Hash, _ int64) (plumbing.ObjectType, []byte, error) {
		if hash == hashOf(here) {
			return plumbing.BlobObject, here, nil
		}
		return nothing(hash, 0)
	}
	for name, c := range map[string]struct {
		make func(b *built)
		want [][]byte
	}{
		"on what follows":            {func(b *built) { b.onHash(one, two); b.blob(one) }, [][]byte{one, two}},
		"on what a delta makes":      {func(b *built) { b.onHash(two, three); b.onHash(one, two); b.blob(one) }, [][]byte{one, two, three}},
		"on what one on here makes":  {func(b *built) { b.onHash(two, three); b.onHash(here, two) }, [][]byte{here, two, three}},
		"on what is here":            {func(b *built) { b.blob(one); b.onHash(here, two) }, [][]byte{one, here, two}},
		"on a large one":             {func(b *built) { b.blob(large); b.onHash(large, one) }, [][]byte{large, one}},
		"on one that a delta makes":  {func(b *built) { at := b.blob(one); b.on(at, one, large); b.onHash(large, two) }, [][]byte{one, large, two}},
		"by offset on one by hash":   {func(b *built) { at := b.onHash(one, two); b.on(at, two, four); b.blob(one) }, [][]byte{one, two, four}},
		"over one that is left out":  {func(b *built) { b.blob(large); at := b.blob(one); b.blob(text(200<<10, "x")); b.on(at, one, two) }, [][]byte{one, two}},
		"two on the same, one large": {func(b *built) { at := b.blob(one); b.on(at, one, large); b.onHash(one, two) }, [][]byte{one, two}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b built
			c.make(&b)
			p, _, err := receive(t, b.pack(), limits, bases)
			if err != nil {
				t.Fatal(err)
			}
			for _, content := range c.want {
				p.wantBlob(t, content)
			}
		})
	}
}

// Whatever builds on what, all that is kept can be read, and git agrees.
func TestRandomPacks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		here := text(700, "here")
		bases := func(hash plumbing.Hash, _ int64) (plumbing.ObjectType, []byte, error) {
			if hash == hashOf(here) {
				return plumbing.BlobObject, here, nil
			}
			return nothing(hash, 0)
		}
		var b built
		var at []int64
		for i := range 40 {
			size := random.IntN(5000)
			if random.IntN(5) == 0 {
				size = 90<<10 + random.IntN(40<<10)
			}
			content := text(size, fmt.Sprint(seed, " ", i))
			switch base := random.IntN(i + 1); {
			case i == 0 || random.IntN(4) == 0:
				at = append(at, b.blob(content))
			case random.IntN(10) == 0:
				at = append(at, b.onHash(here, content))
			case random.IntN(3) == 0 && base < i:
				at = append(at, b.onHash(b.made[base], content))
			default:
				base = min(base, i-1)
				at = append(at, b.on(at[base], b.made[base], content))
			}
		}
		p, s, err := receive(t, b.pack(), limits, bases)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		left := 0
		for _, content := range b.made {
			if _, found, _ := p.Find(hashOf(content)); !found && len(content) > int(limits.File) {
				left++
				continue
			}
			p.wantBlob(t, content)
		}
		if left != s.Skipped {
			t.Errorf("seed %d: %d were left out, %d are missing", seed, s.Skipped, left)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestWhatIsOverTheLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(b *built)
		says string
	}{
		"folder": {func(b *built) { b.add(head{kind: plumbing.TreeObject}, text(2<<20, ""), nil) }, "2097152 bytes that is needed"},
		"base": {func(b *built) {
			big := text(2<<20, "")
			b.on(b.blob(big), big, text(100, "small"))
		}, "2097152 bytes that is needed"},
		"delta makes it": {func(b *built) {
			at := b.blob([]byte("x"))
			b.add(head{kind: plumbing.OFSDeltaObject, back: int64(packHeader+b.body.Len()) - at}, append(binary.AppendUvarint([]byte{1}, 1<<40), 0x90, 1), nil)
		}, "inflates to more than"},
		"files together": {func(b *built) { many(b, 3, 12<<20) }, "inflates to more than"},
		"what is read":   {func(b *built) { many(b, 200, 100<<10) }, "together"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b built
			c.make(&b)
			_, _, err := receive(t, b.pack(), limits, nothing)
			if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want it to say %q", err, c.says)
			}
		})
	}
}

// many adds equal blobs.
func many(b *built, count, size int) {
	var one built
	one.blob(make([]byte, size))
	b.body.Write(bytes.Repeat(one.body.Bytes(), count))
	b.count += count
}

// However deltas branch, few objects are held at a time.
func TestBranchingDeltasHoldFewObjects(t *testing.T) {
	t.Parallel()
	var b built
	base := text(90<<10, "base")
	at, trunk := b.blob(base), base
	for i := range 300 { // each has a leaf, and one that the next builds on
		b.on(at, trunk, text(90<<10, fmt.Sprint("leaf ", i)))
		next := text(90<<10, fmt.Sprint("trunk ", i))
		at, trunk = b.on(at, trunk, next), next
	}
	l := limits
	l.Object, l.Inflated = 100<<10, 256<<20
	p, _, err := receive(t, b.pack(), l, nothing) // which holds at most two
	if err != nil {
		t.Fatal(err)
	}
	p.wantBlob(t, trunk)
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	var b built
	base := text(1000, "base")
	at := b.blob(base)
	for i := range 100 {
		b.on(at, base, text(2000, fmt.Sprint(i)))
	}
	b.onHash(text(10, "here"), text(20, "made"))
	pack := b.pack()
	cause := errors.New("enough")
	// As it comes, as it is scanned, as what it builds on is read.
	for name, c := range map[string]struct {
		body  func(end func()) io.Reader
		bases func(end func()) Bases
	}{
		"coming": {body: func(end func()) io.Reader {
			return io.MultiReader(bytes.NewReader(pack[:100]), readerFunc(func() { end() }), bytes.NewReader(pack[100:]))
		}},
		"scanning": {body: func(end func()) io.Reader {
			return io.MultiReader(bytes.NewReader(pack), readerFunc(func() { end() }))
		}},
		"resolving": {bases: func(end func()) Bases {
			return func(plumbing.Hash, int64) (plumbing.ObjectType, []byte, error) {
				end()
				return plumbing.BlobObject, text(10, "here"), nil
			}
		}},
	} {
		ctx, end := context.WithCancelCause(t.Context())
		defer end(nil)
		body, bases := io.Reader(bytes.NewReader(pack)), Bases(nothing)
		if c.body != nil {
			body = c.body(func() { end(cause) })
		}
		if c.bases != nil {
			bases = c.bases(func() { end(cause) })
		}
		dir := t.TempDir()
		if _, err := Receive(ctx, dir, body, limits, bases); !errors.Is(err, cause) {
			t.Errorf("%s: got %v", name, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: files are left: %v", name, left)
		}
	}
}

// readerFunc calls a function, and is then empty.
type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) { f(); return 0, io.EOF }

func TestPackThatIsHeldIsReadWithoutItsFiles(t *testing.T) {
	t.Parallel()
	var b built
	content := text(1000, "x")
	b.blob(content)
	p, _, err := receive(t, b.pack(), limits, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(p.Hold(), os.Remove(p.path+".pack"), os.Remove(p.path+".idx")); err != nil {
		t.Fatal(err)
	}
	p.wantBlob(t, content)
}

func FuzzReceive(f *testing.F) {
	var b built
	one, two := text(100, "one"), text(200, "two")
	at := b.blob(one)
	b.on(at, one, two)
	f.Add(uint32(2), b.body.Bytes())
	b.onHash(two, text(30, "three"))
	f.Add(uint32(3), b.body.Bytes())
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, count uint32, body []byte) {
		pack := append(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count), body...)
		sum := sha1.Sum(pack)
		s, err := Receive(t.Context(), dir, bytes.NewReader(append(pack, sum[:]...)), Limits{Bytes: 1 << 20, Objects: 100, Inflated: 8 << 20, Object: 1 << 20, File: 1 << 16}, nothing)
		if err == nil {
			p, err := Open(filepath.Join(dir, s.Name), cache.NewBufferLRU(1<<20))
			if err == nil {
				err = p.Verify()
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range p.index.count {
				hash := plumbing.Hash(p.loaded[indexHashes+int(i)*hashBytes:][:hashBytes])
				at, _, err := p.Find(hash)
				if err != nil {
					t.Fatal(err)
				}
				o, err := p.Read(at, 1<<20, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				content, err := o.All(8 << 20)
				if err != nil || plumbing.ComputeHash(o.Kind, content) != hash {
					t.Errorf("object %s is another: %v", hash, err)
				}
				o.Close()
			}
			os.Remove(filepath.Join(dir, s.Name+".pack"))
			os.Remove(filepath.Join(dir, s.Name+".idx"))
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("files are left: %v", left)
		}
	})
}

// FuzzIndex: no index makes more of itself than it is.
func FuzzIndex(f *testing.F) {
	var out bytes.Buffer
	entries := []entry{{offset: 12, hash: hashOf([]byte("a"))}, {offset: 5 << 30, hash: hashOf([]byte("b"))}}
	if err := writeIndex(&out, entries, plumbing.Hash{1}); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bytes.NewReader(text)
		x, err := readIndex(r, int64(len(text)))
		if err != nil {
			return
		}
		for _, name := range []string{"a", "b", "c"} {
			if at, found, err := x.find(r, hashOf([]byte(name))); found && (err != nil || at < 0) {
				t.Errorf("%s is at %d: %v", name, at, err)
			}
		}
	})
}

func TestIndexOfALongPack(t *testing.T) {
	var out bytes.Buffer
	entries := []entry{{offset: 12, hash: hashOf([]byte("a"))}, {offset: 5 << 30, hash: hashOf([]byte("b"))}}
	if err := writeIndex(&out, entries, plumbing.Hash{1}); err != nil {
		t.Fatal(err)
	}
	r := bytes.NewReader(out.Bytes())
	x, err := readIndex(r, int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if at, found, err := x.find(r, hashOf([]byte("b"))); at != 5<<30 || !found || err != nil {
		t.Errorf("got %d, %t, %v", at, found, err)
	}
}

// FuzzDelta: what a delta makes is what go-git makes of it.
func FuzzDelta(f *testing.F) {
	from := []byte("its base objects")
	f.Add(from, delta(from, []byte("what it makes")))
	f.Add(from, append(binary.AppendUvarint([]byte{byte(len(from))}, 3), 0x91, 2, 3))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		_, size, _, err := deltaSizes(delta)
		if err != nil || size > 1<<20 || len(base) == 0 {
			return
		}
		made := make([]byte, size)
		err = applyDelta(base, delta, made)
		want, wantErr := packfile.PatchDelta(base, delta)
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(made, want) {
			t.Errorf("got %q, %v; go-git %q, %v", made, err, want, wantErr)
		}
	})
}

// FuzzHead: what is read is what is written.
func FuzzHead(f *testing.F) {
	f.Add([]byte{0xb5, 0x0a})
	f.Add([]byte{0x65, 0x81, 0x00})
	f.Add(append([]byte{0x70}, make([]byte, hashBytes)...))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := readHead(bytes.NewReader(text))
		if err != nil {
			return
		}
		again, err := readHead(bytes.NewReader(appendHead(nil, h)))
		if again.len = h.len; err != nil || again != h {
			t.Errorf("%x: read %+v, written and read again %+v, %v", text, h, again, err)
		}
	})
}

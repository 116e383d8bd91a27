package gitpack

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// resolver finds out what each delta makes that is kept, and so its hash. Each is
// made once, on the way from what it builds on, which is held for as long as
// something builds on it that is still to be made.
type resolver struct {
	*received
	ctx context.Context

	byHash  []int32                   // entries whose hash is known, by hash
	waiting map[plumbing.Hash][]int32 // deltas on what only another delta can make
	first   []int32                   // of each entry, and then of each from outside: what builds on it
	next    []int32                   // of each entry: what else builds on the same
	weight  []int32                   // of each entry: how many build on it, over others too

	inflater inflater
	stack    []frame
	held     int64  // bytes of the contents of the stack
	spare    []byte // what was last of the stack, to be used again
	delta    []byte // as above
}

// frame is an object that others build on.
type frame struct {
	kind    plumbing.ObjectType
	content []byte
	foreign bool  // the content is somebody else's too
	depth   int   // of the deltas up to it
	chain   int64 // bytes of the objects up to it
	todo    int32 // what is to be made of it next
	last    int32 // what is made of it last: most builds on that, and the frame is then gone
}

const none = -1

// resolve finds what is kept of the pack, and the hash of each such object.
func (p *received) resolve(ctx context.Context, bases Bases) error {
	p.bases = bases
	r := &resolver{received: p, ctx: ctx, inflater: inflater{in: bufio.NewReaderSize(nil, 64<<10)}}
	if err := r.findBases(); err != nil {
		return err
	}
	if err := r.keep(); err != nil {
		return err
	}
	r.link()
	return r.makeAll()
}

// findBases finds what deltas build on that name it by its hash.
func (r *resolver) findBases() error {
	r.sortHashes()
	open := r.findInPack()
	if open && r.hashLarge() {
		if err := r.hashRest(); err != nil {
			return err
		}
		r.sortHashes()
		open = r.findInPack()
	}
	if open {
		return r.findOutside()
	}
	return nil
}

func (r *resolver) sortHashes() {
	r.byHash = r.byHash[:0]
	for i := range r.entries {
		if r.entries[i].state&hashed != 0 {
			r.byHash = append(r.byHash, int32(i)) //nolint:gosec // as many as Limits.Objects
		}
	}
	slices.SortFunc(r.byHash, func(a, b int32) int { return bytes.Compare(r.entries[a].hash[:], r.entries[b].hash[:]) })
}

// findInPack says whether bases remain that are no object of the pack as it stands.
func (r *resolver) findInPack() (open bool) {
	for i := range r.entries {
		e := &r.entries[i]
		if e.base != unknown {
			continue
		}
		at, found := slices.BinarySearchFunc(r.byHash, e.hash, func(i int32, h plumbing.Hash) int { return bytes.Compare(r.entries[i].hash[:], h[:]) })
		if found {
			e.base = r.byHash[at]
		} else {
			open = true
		}
	}
	return open
}

// hashLarge says whether there are files that were not hashed for their size, and
// can be held.
func (r *resolver) hashLarge() bool {
	return slices.ContainsFunc(r.entries, r.unhashed)
}

func (r *resolver) unhashed(e entry) bool {
	return !e.isDelta() && e.state&hashed == 0 && e.size <= r.limits.Object
}

func (r *resolver) hashRest() error {
	for i := range r.entries {
		if e := &r.entries[i]; r.unhashed(*e) {
			content, err := r.inflate(e, &r.spare)
			if err != nil {
				return err
			}
			e.hash, e.state = plumbing.ComputeHash(e.kind, content), hashed
		}
	}
	return nil
}

// findOutside looks for bases among what is here. What is not can still be made by
// another delta of the pack.
func (r *resolver) findOutside() error {
	seen := map[plumbing.Hash]int32{}
	for i := range r.entries {
		e := &r.entries[i]
		if e.base != unknown {
			continue
		}
		base, known := seen[e.hash]
		if !known {
			kind, content, err := r.base(e.hash)
			switch {
			case errors.Is(err, plumbing.ErrObjectNotFound):
				base = unknown
			case err != nil:
				return err
			default:
				r.outside = append(r.outside, outside{e.hash, kind, int64(len(content))})
				base = int32(-len(r.outside)) //nolint:gosec // as many as Limits.Objects
			}
			seen[e.hash] = base
		}
		e.base = base
		if base == unknown {
			if r.waiting == nil {
				r.waiting = map[plumbing.Hash][]int32{}
			}
			r.waiting[e.hash] = append(r.waiting[e.hash], int32(i)) //nolint:gosec // as above
		}
	}
	return nil
}

// base reads what is here.
func (r *resolver) base(hash plumbing.Hash) (plumbing.ObjectType, []byte, error) {
	if r.ctx.Err() != nil {
		return 0, nil, context.Cause(r.ctx)
	}
	kind, content, err := r.bases(hash, r.limits.Object)
	switch {
	case errors.Is(err, ErrLimit): // another pack need not build on that
		err = fmt.Errorf("%w: its base object %s: %w", ErrUnfit, hash, errors.New(err.Error()))
	case err != nil && !errors.Is(err, plumbing.ErrObjectNotFound):
		err = fmt.Errorf("read object %s, a base of the pack: %w", hash, err)
	}
	return kind, content, err
}

// keep marks what is kept: all that can be read for its size, and what that builds
// on. Where the base of a delta is not known yet, that may be anything.
func (r *resolver) keep() error {
	sum := int64(0)
	for i := range r.entries {
		e := &r.entries[i]
		final := e.final
		if e.base < 0 && e.base > unknown {
			final = r.outside[-e.base-1].kind
		} else if e.base >= 0 {
			final = r.entries[e.base].final
		}
		e.final = final
		large := e.made > r.limits.File && (final == plumbing.BlobObject || final == plumbing.InvalidObject)
		if large && (r.waiting == nil || !e.isDelta() && e.size > r.limits.Object) {
			continue
		}
		for at := int32(i); at >= 0 && r.entries[at].state&kept == 0; at = r.entries[at].base { //nolint:gosec // as above
			b := &r.entries[at]
			b.state |= kept
			if err := r.holds(b, at == int32(i)); err != nil { //nolint:gosec // as above
				return err
			}
			if sum += b.made; b.isDelta() {
				sum += b.size
			}
			if sum > r.limits.Inflated/2 {
				return tooMuchKept(r.limits)
			}
		}
	}
	return nil
}

// holds refuses what cannot be held in memory and has to be: each delta, what it
// builds on, and each folder. A commit or a tag of any size is read in pieces.
func (r *resolver) holds(e *entry, itself bool) error {
	size := max(e.size, e.made)
	if size <= r.limits.Object || itself && (e.kind == plumbing.CommitObject || e.kind == plumbing.TagObject) {
		return nil
	}
	return fmt.Errorf("%w: the repository holds an object of %d bytes that is needed, at most %d can be held: keep files of that size out of the repository of manifests",
		ErrLimit, size, r.limits.Object)
}

// link lists what builds on each object.
func (r *resolver) link() {
	n := len(r.entries)
	r.first, r.next, r.weight = make([]int32, n+len(r.outside)), make([]int32, n), make([]int32, n)
	for i := range r.first {
		r.first[i] = none
	}
	for i := n - 1; i >= 0; i-- { // a base mostly stands before what builds on it
		e := &r.entries[i]
		if e.state&kept == 0 || e.base == noBase || e.base == unknown {
			continue
		}
		of := e.base
		if of < 0 {
			of = int32(n) - of - 1 //nolint:gosec // as above
		} else {
			r.weight[of] += r.weight[i] + 1
		}
		r.next[i], r.first[of] = r.first[of], int32(i) //nolint:gosec // as above
	}
}

// makeAll makes what builds on each object that is no delta, or from outside.
func (r *resolver) makeAll() error {
	for i := range r.entries {
		e := &r.entries[i]
		if e.isDelta() || e.state&kept == 0 {
			continue
		}
		if r.first[i] == none && e.state&hashed != 0 {
			continue
		}
		content, err := r.inflate(e, &r.spare)
		if err != nil {
			return err
		}
		if e.state&hashed == 0 {
			e.hash, e.state = plumbing.ComputeHash(e.kind, content), e.state|hashed
		}
		if err := r.makeOn(i, e.hash, frame{kind: e.kind, content: content, chain: e.size}); err != nil {
			return err
		}
	}
	for i, o := range r.outside {
		kind, content, err := r.base(o.hash)
		if err == nil {
			err = r.makeOn(len(r.entries)+i, o.hash, frame{kind: kind, content: content, chain: o.size, foreign: true})
		}
		if err != nil {
			return err
		}
	}
	if len(r.waiting) > 0 {
		return fmt.Errorf("%w: a base object is neither in it nor here: check the repository on the server with git fsck", ErrUnfit)
	}
	return nil
}

// makeOn makes all that builds on an object, over others too.
//
// What most builds on is made last of each object, which is then let go before: so
// at most one object is held for each time that the number of those to be made
// halves, and of a chain one alone.
func (r *resolver) makeOn(at int, hash plumbing.Hash, f frame) error {
	if err := r.push(at, hash, f); err != nil {
		return err
	}
	for len(r.stack) > 0 {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		top := &r.stack[len(r.stack)-1]
		i := top.todo
		if i == top.last && i != none { // which comes last
			i = r.next[i]
			top.todo = i
		}
		isLast := i == none
		if isLast {
			i = top.last
		} else {
			top.todo = r.next[i]
		}
		made, err := r.apply(int(i), top)
		if err != nil {
			return err
		}
		if isLast {
			r.pop()
		}
		if err := r.push(int(i), r.entries[i].hash, made); err != nil {
			return err
		}
	}
	return nil
}

// push puts an object on the stack if anything builds on it.
func (r *resolver) push(at int, hash plumbing.Hash, f frame) error {
	r.attach(at, hash)
	f.todo, f.last = r.first[at], r.first[at]
	for i := f.todo; i != none; i = r.next[i] {
		if r.weight[i] > r.weight[f.last] {
			f.last = i
		}
	}
	if f.last == none {
		r.reuse(f)
		return nil
	}
	if r.held += int64(len(f.content)); r.held > 2*r.limits.Object {
		return fmt.Errorf("%w: resolving its delta chains needs more than %d bytes", ErrLimit, 2*r.limits.Object)
	}
	r.stack = append(r.stack, f)
	return nil
}

func (r *resolver) pop() {
	top := r.stack[len(r.stack)-1]
	r.stack = r.stack[:len(r.stack)-1]
	r.held -= int64(len(top.content))
	r.reuse(top)
}

func (r *resolver) reuse(f frame) {
	if !f.foreign && cap(f.content) > cap(r.spare) {
		r.spare = f.content[:0]
	}
}

// attach takes in what waited for an object of that hash.
func (r *resolver) attach(at int, hash plumbing.Hash) {
	for _, i := range r.waiting[hash] {
		e := &r.entries[i]
		if at < len(r.entries) {
			e.base = int32(at) //nolint:gosec // as above
		} else {
			e.base = int32(len(r.entries) - at - 1) //nolint:gosec // as above
		}
		r.next[i], r.first[at] = r.first[at], i
	}
	delete(r.waiting, hash)
}

// apply makes what a delta makes of the object that it builds on.
func (r *resolver) apply(i int, on *frame) (frame, error) {
	e := &r.entries[i]
	f := frame{kind: on.kind, depth: on.depth + 1, chain: on.chain + e.made}
	if f.depth > MaxDepth || f.chain > MaxChain {
		return f, fmt.Errorf("%w: chains of %d deltas expand to %d bytes, at most %d may expand to %d",
			ErrLimit, f.depth, f.chain, MaxDepth, int64(MaxChain))
	}
	delta, err := r.inflate(e, &r.delta)
	if err != nil {
		return f, err
	}
	r.delta = delta
	f.content = take(&r.spare, e.made)
	if err := applyDelta(on.content, delta, f.content); err != nil {
		return f, fmt.Errorf("%w: object %d: %w", ErrUnfit, i+1, err)
	}
	e.final, e.hash, e.state = f.kind, plumbing.ComputeHash(f.kind, f.content), e.state|hashed
	return f, nil
}

// take makes a slice of what is spare, if that is large enough. It grows by half
// at least, so that sizes that go up little by little leave little behind.
func take(spare *[]byte, size int64) []byte {
	content := *spare
	*spare = nil
	if int64(cap(content)) < size {
		content = make([]byte, size, max(size, min(int64(cap(content))*3/2, 2*size)))
	}
	return content[:size]
}

// inflate reads what stands in the pack, into spare memory.
func (r *resolver) inflate(e *entry, spare *[]byte) ([]byte, error) {
	from := e.offset + int64(e.head)
	r.inflater.in.Reset(&contextReader{r.ctx, io.NewSectionReader(r.file, from, r.size-from)})
	err := r.inflater.begin()
	content := take(spare, e.size)
	if err == nil {
		err = r.inflater.fill(content)
	}
	if err != nil {
		return nil, fmt.Errorf("read the pack: %w", err)
	}
	return content, nil
}

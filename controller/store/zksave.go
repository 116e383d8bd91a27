package store

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// Save replaces what is saved of a sync, see Store. It is refused with ErrStale
// where another process has saved since this one's last Load or Save, and with
// ErrNotLeader by the guard. After an error of the connection it is not known
// whether it was saved; the next Save finds out. Older history than MaxHistory
// entries is dropped.
func (z *ZooKeeper) Save(ctx context.Context, sync string, s State) error {
	r, node, err := z.record(sync)
	if err != nil {
		return toldZooKeeper(sync, err)
	}
	b, err := encode(bounded(s), sync)
	if err != nil {
		return toldZooKeeper(sync, err)
	}
	chunks, err := pack(b, z.chunkSize)
	if err != nil {
		return toldZooKeeper(sync, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v := &save{z: z, r: r, node: node, chunks: chunks, next: position{generation: newGeneration(), chunks: len(chunks)}}
	if err := z.call(ctx, v.attempt); err != nil {
		if v.begun {
			r.tried, r.unswept = v.next.generation, true
		}
		return toldZooKeeper(sync, fmt.Errorf("not saved: %w", err))
	}
	return nil
}

// save is one call of Save.
type save struct {
	z      *ZooKeeper
	r      *record
	node   string
	chunks [][]byte
	next   position // where it will be; its version comes with the answer
	begun  bool     // something was sent that may have been taken
	keep   bool     // children of before are left to the sweep
}

// errAgain: somebody was in the way, but only of this attempt.
var errAgain = errors.New("the stored state is being checked again")

// attempt saves. Where it cannot be told whether an attempt was taken, or why
// not, the head tells: its generation is a name that nobody else has.
func (v *save) attempt(c *zookeeper.Conn) error {
	if v.begun || v.r.tried != "" {
		if done, err := v.lookAgain(c); done || err != nil {
			return err
		}
	}
	for {
		err := v.write(c)
		if !errors.Is(err, errAgain) {
			if err == nil {
				v.settled(c)
			}
			return err
		}
		if done, err := v.lookAgain(c); done || err != nil {
			return err
		}
	}
}

// lookAgain reads the head: done where it is what is to be saved, an error where
// somebody else has saved.
func (v *save) lookAgain(c *zookeeper.Conn) (done bool, err error) {
	raw, now, err := v.z.readHead(c, v.node)
	if err != nil {
		return false, err
	}
	if len(raw) > 0 {
		h, err := decodeHead(raw)
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrStale, err)
		}
		now.generation, now.chunks = h.Generation, h.Chunks
	}
	switch {
	case v.begun && now.generation == v.next.generation:
		v.next.version = now.version
		v.settled(c)
		return true, nil
	case v.r.tried != "" && now.generation == v.r.tried:
		v.r.at, v.r.tried = now, "" // the save before was taken after all
		return false, nil
	case now != v.r.at:
		return false, ErrStale
	}
	return false, nil
}

// settled notes that the state is saved, and removes what belongs to nothing.
func (v *save) settled(c *zookeeper.Conn) {
	v.r.unswept = v.r.unswept || v.keep
	v.r.at, v.r.tried = v.next, ""
	if v.r.unswept {
		v.sweep(c)
	}
}

// write makes the children of the new generation and lets the head name it.
func (v *save) write(c *zookeeper.Conn) error {
	guard, err := v.z.guard()
	if err != nil {
		return err
	}
	last := len(v.chunks) - 1
	for i, chunk := range v.chunks[:last] {
		err := v.create(c, chunkNode(v.node, v.next.generation, i), chunk)
		if err != nil {
			return err
		}
	}
	data, err := encodeHead(head{Generation: v.next.generation, Chunks: len(v.chunks)})
	if err != nil {
		return err
	}
	ops := guard
	for i := range last { // nobody has swept them meanwhile
		ops = append(ops, &zk.CheckVersionRequest{Path: chunkNode(v.node, v.next.generation, i), Version: 0})
	}
	ops = append(ops,
		&zk.CreateRequest{Path: chunkNode(v.node, v.next.generation, last), Data: v.chunks[last], Acl: c.ACL()},
		&zk.SetDataRequest{Path: v.node, Data: data, Version: v.r.at.version})
	if !v.keep {
		for i := range v.r.at.chunks {
			ops = append(ops, &zk.DeleteRequest{Path: chunkNode(v.node, v.r.at.generation, i), Version: -1})
		}
	}
	v.begun = true
	results, err := c.Multi(ops...)
	if err == nil {
		v.next.version = v.r.at.version + 1
		return nil
	}
	return v.refused(c, refusal(results, err, len(guard)))
}

// create makes a child, and first the node of the sync where there was none.
func (v *save) create(c *zookeeper.Conn, node string, data []byte) error {
	v.begun = true
	_, err := c.Create(node, data, 0, c.ACL())
	if errors.Is(err, zk.ErrNodeExists) {
		return nil // by an attempt whose answer was lost
	}
	return v.refused(c, err)
}

// refused tells what a refusal means: errAgain where another attempt may do.
func (v *save) refused(c *zookeeper.Conn, err error) error {
	switch {
	case errors.Is(err, ErrNotLeader):
		return err
	case errors.Is(err, zk.ErrBadVersion), errors.Is(err, zk.ErrNodeExists):
		return errAgain
	case errors.Is(err, zk.ErrNoNode) && v.r.at == position{}:
		// Nothing was ever saved, so the node of the sync need not be there. If it
		// was there, and is gone, then so is the version that the head must have.
		if err := c.Make(v.node); err != nil {
			return err
		}
		return errAgain
	case errors.Is(err, zk.ErrNoNode) && !v.keep:
		v.keep = true // a child of before was gone: that is no reason
		return errAgain
	}
	return err
}

// refusal is the error of the first step of a transaction that failed; the first
// steps are the guard's.
func refusal(results []zk.MultiResponse, err error, guards int) error {
	for i, r := range results {
		if r.Error == nil {
			continue
		}
		if i < guards && (errors.Is(r.Error, zk.ErrNoNode) || errors.Is(r.Error, zk.ErrBadVersion)) {
			return fmt.Errorf("%w: another replica is the leader now: %w", ErrNotLeader, r.Error)
		}
		return r.Error
	}
	return err
}

// guard is what a transaction begins with.
func (z *ZooKeeper) guard() ([]any, error) {
	if z.o.Guard == nil {
		return nil, nil
	}
	node, version, err := z.o.Guard()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	return []any{&zk.CheckVersionRequest{Path: node, Version: version}}, nil
}

// sweep removes children of generations that are not in force, which a process
// that was stopped has left. It removes nothing where it is not the newest any
// more: they may be those of a save under way.
func (v *save) sweep(c *zookeeper.Conn) {
	guard, err := v.z.guard()
	if err != nil {
		return
	}
	names, err := children(c, v.node)
	ops := append(guard, &zk.CheckVersionRequest{Path: v.node, Version: v.r.at.version})
	before := len(ops)
	for _, n := range names {
		if m := chunkPattern.FindStringSubmatch(n); m != nil && m[1] != v.r.at.generation {
			ops = append(ops, &zk.DeleteRequest{Path: path.Join(v.node, n), Version: -1})
		}
	}
	if err == nil && len(ops) > before {
		_, err = c.Multi(ops...)
	}
	v.r.unswept = err != nil // the next save tries again
	if err != nil {
		v.z.o.Log.Info("cannot remove unused parts of states from ZooKeeper", "node", v.node, "error", err)
	}
}

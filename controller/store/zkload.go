package store

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// Load returns what was saved, see Store, also by another process. It writes
// nothing, unless what is there cannot be understood and this process may write:
// then that is set aside, so that nothing is lost, and the error, which wraps
// ErrCorrupt or ErrNewer, names where it is; the next Load finds nothing.
func (z *ZooKeeper) Load(ctx context.Context, sync string) (State, error) {
	return z.loadOr(ctx, sync, z.setAside)
}

// Peek is Load without setting anything aside.
func (z *ZooKeeper) Peek(ctx context.Context, sync string) (State, error) {
	return z.loadOr(ctx, sync, func(_ *zookeeper.Conn, _ string, _ []byte, _ position, why error) error { return why })
}

// damaged is what is done with what cannot be understood, and the error for it.
type damaged func(c *zookeeper.Conn, node string, raw []byte, at position, why error) error

func (z *ZooKeeper) loadOr(ctx context.Context, sync string, bad damaged) (State, error) {
	r, node, err := z.record(sync)
	if err != nil {
		return State{}, toldZooKeeper(sync, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var s State
	var damage error
	err = z.call(ctx, func(c *zookeeper.Conn) error {
		loaded, at, err := z.load(c, node, sync, bad)
		if err == nil {
			s, r.at, r.tried = loaded, at, ""
		} else if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer) {
			damage = err
		}
		return err
	})
	if err == nil && s.Inventory == nil {
		err = damage // it was set aside, and only the answer lost
	}
	return s, toldZooKeeper(sync, err)
}

// toldZooKeeper says of which sync an error is.
func toldZooKeeper(sync string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("state of sync %q in ZooKeeper: %w", sync, err)
}

// load reads a state whole. Where a save falls in between, its new children are
// there before the old ones go, so reading again finds it.
func (z *ZooKeeper) load(c *zookeeper.Conn, node, sync string, bad damaged) (State, position, error) {
	for {
		raw, at, err := z.readHead(c, node)
		if err != nil || len(raw) == 0 {
			return State{}, at, err
		}
		h, err := decodeHead(raw)
		if err != nil {
			return State{}, at, bad(c, node, raw, at, err)
		}
		at.generation, at.chunks = h.Generation, h.Chunks
		packed, err := readChunks(c, node, at)
		var s State
		if err == nil {
			s, err = decodePacked(packed, sync)
		}
		if err == nil {
			return s, at, nil
		}
		if errors.Is(err, zk.ErrNoNode) {
			_, now, headErr := z.readHead(c, node)
			if headErr != nil {
				return State{}, at, headErr
			}
			if now.version != at.version {
				continue // saved in between
			}
			err = fmt.Errorf("%w: a part of it is missing: %w", ErrCorrupt, err)
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			return State{}, at, err
		}
		return State{}, at, bad(c, node, raw, at, err)
	}
}

// readHead reads the node of a sync as the ensemble's leader has it.
func (z *ZooKeeper) readHead(c *zookeeper.Conn, node string) ([]byte, position, error) {
	// The server may lag behind; this waits until it has what was agreed on
	// before.
	if _, err := c.Sync(node); err != nil {
		return nil, position{}, err
	}
	raw, stat, err := c.Get(node)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, position{}, nil
	}
	if err != nil {
		return nil, position{}, err
	}
	return raw, position{version: stat.Version}, nil
}

// readChunks is the content of a generation.
func readChunks(c *zookeeper.Conn, node string, at position) ([]byte, error) {
	var content []byte
	for i := range at.chunks {
		b, _, err := c.Get(chunkNode(node, at.generation, i))
		if err != nil {
			return nil, err
		}
		if len(b) > maxChunk {
			return nil, fmt.Errorf("%w: a part of it has %d bytes, at most %d are written", ErrCorrupt, len(b), maxChunk)
		}
		content = append(content, b...)
	}
	return content, nil
}

// setAside copies what cannot be understood to a node of its own and empties the
// node of the sync. Who may not write leaves it as it is.
func (z *ZooKeeper) setAside(c *zookeeper.Conn, node string, raw []byte, at position, why error) error {
	guard, err := z.guard()
	if err != nil {
		return fmt.Errorf("%w: it is left unchanged: %w", why, err)
	}
	mark := "corrupt"
	if errors.Is(why, ErrNewer) {
		mark = "newer"
	}
	aside := path.Join(z.root(), asideNode, path.Base(node)+"."+mark+"-"+z.now().UTC().Format("20060102T150405.000000000"))
	if err := copyAside(c, node, aside, raw); err != nil {
		return fmt.Errorf("%w; moving it aside: %w", why, err)
	}
	claim, err := z.asideClaim(c, node, why)
	if err != nil {
		return fmt.Errorf("%w; moving it aside: %w", why, err)
	}
	results, err := c.Multi(slices.Concat(guard, []any{&zk.SetDataRequest{Path: node, Version: at.version}}, claim)...)
	if err != nil {
		return fmt.Errorf("%w; moving it aside: %w", why, refusal(results, err, len(guard)))
	}
	return fmt.Errorf("%w: moved aside to node %s; its inventory, suspensions, rollbacks, approvals and history are lost", why, aside)
}

// copyAside copies a node and its children. They are not moved: whoever stops in
// the middle leaves a copy too much and no part too few.
func copyAside(c *zookeeper.Conn, node, aside string, raw []byte) error {
	if err := c.Make(path.Dir(aside)); err != nil {
		return err
	}
	if _, err := c.Create(aside, raw, 0, c.ACL()); err != nil {
		return err
	}
	names, err := children(c, node)
	if err != nil {
		return err
	}
	for _, n := range names {
		b, _, err := c.Get(path.Join(node, n))
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return err
		}
		if _, err := c.Create(path.Join(aside, n), b, 0, c.ACL()); err != nil {
			return err
		}
	}
	return nil
}

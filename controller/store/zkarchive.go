package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path"
	"regexp"
	"slices"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// What is kept is laid out as states are, see zknode.go: the head of a content is
// archive/<sync>/<checksum>.

var sumPattern = regexp.MustCompile(`^[0-9a-f]{32}$`)

// archive is the node below which all content of a sync is.
func (z *ZooKeeper) archive(sync string) (string, error) {
	name, err := escaped(sync)
	return path.Join(z.root(), archiveNode, name), err
}

// kept is the node of one content.
func (z *ZooKeeper) kept(sync, sum string) (string, error) {
	short, err := shortSum(sum)
	if err != nil {
		return "", err
	}
	node, err := z.archive(sync)
	return path.Join(node, short), err
}

// Keep stores content in nodes of its own, see Archive.
func (z *ZooKeeper) Keep(ctx context.Context, sync, sum string, content []byte) error {
	node, err := z.kept(sync, sum)
	if err != nil {
		return toldKept(sync, err)
	}
	chunks, err := cut(content, z.chunkSize)
	if err != nil {
		return toldKept(sync, err)
	}
	err = z.call(ctx, func(c *zookeeper.Conn) error {
		there, at, err := z.recall(c, node)
		if err == nil && bytes.Equal(there, content) {
			return nil // also by an attempt whose answer was lost
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			return err
		}
		v := &save{
			z: z, r: &record{at: at, unswept: true}, node: node, chunks: chunks,
			next: position{generation: newGeneration(), chunks: len(chunks)},
		}
		return v.attempt(c)
	})
	return toldKept(sync, err)
}

// Recall reads content, see Archive.
func (z *ZooKeeper) Recall(ctx context.Context, sync, sum string) ([]byte, error) {
	node, err := z.kept(sync, sum)
	if err != nil {
		return nil, toldKept(sync, err)
	}
	var content []byte
	err = z.call(ctx, func(c *zookeeper.Conn) (err error) {
		content, _, err = z.recall(c, node)
		return err
	})
	return content, toldKept(sync, err)
}

// recall reads content, and where it is.
func (z *ZooKeeper) recall(c *zookeeper.Conn, node string) ([]byte, position, error) {
	raw, at, err := z.readHead(c, node)
	if err == nil && len(raw) == 0 {
		err = os.ErrNotExist
	}
	if err != nil {
		return nil, at, err
	}
	h, err := decodeHead(raw)
	if err != nil {
		return nil, at, err
	}
	at.generation, at.chunks = h.Generation, h.Chunks
	content, err := readChunks(c, node, at)
	if errors.Is(err, zk.ErrNoNode) {
		err = errors.Join(ErrCorrupt, err)
	}
	return content, at, err
}

// Retain removes nodes, see Archive.
func (z *ZooKeeper) Retain(ctx context.Context, sync string, sums []string) error {
	folder, err := z.archive(sync)
	if err != nil {
		return toldKept(sync, err)
	}
	var stays []string
	for _, sum := range sums {
		short, err := shortSum(sum)
		if err != nil {
			return toldKept(sync, err)
		}
		stays = append(stays, short)
	}
	err = z.call(ctx, func(c *zookeeper.Conn) error {
		names, err := newest(c, folder)
		if err != nil {
			return err
		}
		for _, n := range names {
			if !sumPattern.MatchString(n) || slices.Contains(stays, n) {
				continue
			}
			if err := z.removeKept(c, path.Join(folder, n)); err != nil {
				return err
			}
		}
		return nil
	})
	return toldKept(sync, err)
}

// removeKept removes a content with its chunks.
func (z *ZooKeeper) removeKept(c *zookeeper.Conn, node string) error {
	guard, err := z.guard()
	if err != nil {
		return err
	}
	names, err := children(c, node)
	if err != nil {
		return err
	}
	ops := guard
	for _, n := range names {
		ops = append(ops, &zk.DeleteRequest{Path: path.Join(node, n), Version: -1})
	}
	results, err := c.Multi(append(ops, &zk.DeleteRequest{Path: node, Version: -1})...)
	if err = refusal(results, err, len(guard)); errors.Is(err, zk.ErrNoNode) {
		return nil // by an attempt whose answer was lost
	}
	return err
}

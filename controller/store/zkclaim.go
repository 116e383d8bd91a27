package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/go-zookeeper/zk"
	"github.com/google/uuid"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// This file is how a replica that does not lead says that a record is lost: by a
// node of claimsNode, and a write of the record's node that changes nothing, so
// that whoever has loaded the record before can save it no more.

// Place names the ensemble and the root, for a Ledger. Servers that are added or
// replaced make it another place, where records that are there are believed.
func (z *ZooKeeper) Place() string {
	servers := slices.Sorted(slices.Values(z.o.Connection.Servers))
	return "ZooKeeper " + strings.Join(servers, ",") + z.root()
}

func (z *ZooKeeper) claimNode(node string) string {
	return path.Join(z.root(), claimsNode, path.Base(node))
}

// asideClaim is the step of a transaction that sets a record aside by which it is
// known to be lost, whoever leads next; none where there is a claim already.
func (z *ZooKeeper) asideClaim(c *zookeeper.Conn, node string, why error) ([]any, error) {
	there, err := z.readClaim(c, node)
	if err != nil || there != nil {
		return nil, err
	}
	if err := c.Make(path.Dir(z.claimNode(node))); err != nil {
		return nil, err
	}
	data, err := json.Marshal(claim{ID: uuid.NewString(), Why: why.Error()})
	if err != nil {
		return nil, err
	}
	return []any{&zk.CreateRequest{Path: z.claimNode(node), Data: data, Acl: c.ACL()}}, nil
}

func (z *ZooKeeper) claimed(ctx context.Context, sync string) (found *claim, err error) {
	_, node, err := z.record(sync)
	if err != nil {
		return nil, toldZooKeeper(sync, err)
	}
	err = z.call(ctx, func(c *zookeeper.Conn) error {
		if _, err := c.Sync(node); err != nil {
			return err
		}
		found, err = z.readClaim(c, node)
		return err
	})
	return found, toldZooKeeper(sync, err)
}

func (z *ZooKeeper) isClaimed(ctx context.Context, sync string) (is bool, err error) {
	_, node, err := z.record(sync)
	if err == nil {
		err = z.call(ctx, func(c *zookeeper.Conn) (err error) {
			is, _, err = c.Exists(z.claimNode(node))
			return err
		})
	}
	return is, toldZooKeeper(sync, err)
}

// readClaim is the claim for the record of a node; nil: there is none. What
// cannot be understood is one all the same.
func (z *ZooKeeper) readClaim(c *zookeeper.Conn, node string) (*claim, error) {
	raw, _, err := c.Get(z.claimNode(node))
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found claim
	if err := json.Unmarshal(raw, &found); err != nil || found.ID == "" {
		return &claim{ID: "unreadable-" + sum(raw), Why: "a replica reports another record of the sync, in a node that cannot be parsed"}, nil
	}
	return &found, nil
}

func (z *ZooKeeper) claim(ctx context.Context, sync string, made claim) (done bool, err error) {
	r, node, err := z.record(sync)
	if err != nil {
		return false, toldZooKeeper(sync, err)
	}
	data, err := json.Marshal(made)
	if err != nil {
		return false, toldZooKeeper(sync, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = z.call(ctx, func(c *zookeeper.Conn) error {
		for _, n := range []string{node, path.Dir(z.claimNode(node))} {
			if err := c.Make(n); err != nil {
				return err
			}
		}
		raw, now, err := z.readHead(c, node)
		if err != nil || now.version != r.at.version {
			return err
		}
		results, err := c.Multi(
			&zk.CreateRequest{Path: z.claimNode(node), Data: data, Acl: c.ACL()},
			&zk.SetDataRequest{Path: node, Data: raw, Version: now.version})
		err = refusal(results, err, 0)
		done = err == nil || errors.Is(err, zk.ErrNodeExists)
		if done || errors.Is(err, zk.ErrBadVersion) {
			return nil
		}
		return err
	})
	if err != nil {
		err = toldZooKeeper(sync, fmt.Errorf("its loss cannot be reported to the leader: %w", err))
	}
	return done, err
}

func (z *ZooKeeper) settle(ctx context.Context, sync, id string) error {
	_, node, err := z.record(sync)
	if err != nil {
		return toldZooKeeper(sync, err)
	}
	return toldZooKeeper(sync, z.call(ctx, func(c *zookeeper.Conn) error {
		guard, err := z.guard()
		if err != nil {
			return err
		}
		found, err := z.readClaim(c, node)
		if err != nil || found == nil || found.ID != id {
			return err
		}
		results, err := c.Multi(append(guard, &zk.DeleteRequest{Path: z.claimNode(node), Version: -1})...)
		if err = refusal(results, err, len(guard)); errors.Is(err, zk.ErrNoNode) && !errors.Is(err, ErrNotLeader) {
			return nil // by an attempt whose answer was lost
		}
		return err
	}))
}

package zookeeper

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/go-zookeeper/zk"
)

// Make makes a node and what of its parents is missing, with the Conn's ACL. A
// node that is there already stays as it is.
func (c *Conn) Make(node string) error {
	_, err := c.Create(node, nil, 0, c.acl)
	if errors.Is(err, zk.ErrNoNode) && path.Dir(node) != "/" {
		if err := c.Make(path.Dir(node)); err != nil {
			return err
		}
		_, err = c.Create(node, nil, 0, c.acl)
	}
	if err == nil || errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return fmt.Errorf("zookeeper: create node %s: %w", node, err)
}

// proveRoot makes the root, and proves by a write that it is ours to write to:
// ZooKeeper takes a wrong password without a word, and only later refuses what
// is done with it.
func (c *Conn) proveRoot() error {
	data, stat, err := c.Get(c.config.Root)
	switch {
	case errors.Is(err, zk.ErrNoNode) && c.config.Existing:
		return fmt.Errorf("zookeeper: %w: node %s: no state is stored there", ErrNoRoot, c.config.Root)
	case errors.Is(err, zk.ErrNoNode):
		if err := c.Make(c.config.Root); err != nil {
			return c.explain(err)
		}
		data, stat, err = c.Get(c.config.Root)
	}
	if err != nil {
		return c.explain(fmt.Errorf("zookeeper: read node %s: %w", c.config.Root, err))
	}
	if c.config.Existing {
		return nil
	}
	// The same content, lest the node be somebody else's. A conflict comes after
	// the permission was looked at, from a replica that proves the same.
	_, err = c.Set(c.config.Root, data, stat.Version)
	if err != nil && !errors.Is(err, zk.ErrBadVersion) {
		return c.explain(fmt.Errorf("zookeeper: write node %s: %w", c.config.Root, err))
	}
	return c.refuseOpenRoot()
}

// refuseOpenRoot: who may write the root may delete the nodes in it, whosever
// they are, so a credential would protect nothing.
func (c *Conn) refuseOpenRoot() error {
	if !c.config.Auth.IsSet() {
		return nil
	}
	acl, _, err := c.GetACL(c.config.Root)
	if err != nil {
		return c.explain(fmt.Errorf("zookeeper: read the ACL of node %s: %w", c.config.Root, err))
	}
	if slices.ContainsFunc(acl, func(a zk.ACL) bool { return a.Scheme == "world" && a.Perms&^zk.PermRead != 0 }) {
		return fmt.Errorf("%w: node %s was created without a credential, and everyone may write it: give it and all nodes below it to Pacer's user (zkCli.sh: addauth …, then setAcl -R %s auth::cdrwa), or choose another root",
			ErrNotAllowed, c.config.Root, c.config.Root)
	}
	return nil
}

// explain tells a refusal from other errors, and what to do about it.
func (c *Conn) explain(err error) error {
	a := c.config.Auth
	switch {
	case errors.Is(err, zk.ErrInvalidACL) && a.Certificate:
		return fmt.Errorf("%w: the server does not authenticate the certificate: does it request one (ssl.clientAuth)? %w", ErrNotAllowed, err)
	case !errors.Is(err, zk.ErrNoAuth):
		return err
	case a.Certificate:
		return fmt.Errorf("%w: node %s does not belong to the certificate's subject: %w", ErrNotAllowed, c.config.Root, err)
	case a.User != "":
		return fmt.Errorf("%w: user %q with the configured password may not write node %s: is the password right, and was the node created with it? %w", ErrNotAllowed, a.User, c.config.Root, err)
	}
	return fmt.Errorf("%w: node %s cannot be written without a credential: set zookeeper.auth, or choose another root: %w", ErrNotAllowed, c.config.Root, err)
}

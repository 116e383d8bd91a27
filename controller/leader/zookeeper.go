package leader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/pacer-gitops/pacer/controller/zookeeper"
)

// Where things are below the root.
const (
	candidatesNode = "candidates"
	replicasNode   = "replicas"
	reportsNode    = "reports"
)

// NewEnsemble is the ensemble that c describes.
func NewEnsemble(c zookeeper.Config) Ensemble { return ensemble{c} }

type ensemble struct{ config zookeeper.Config }

// Dial opens a session.
func (e ensemble) Dial(ctx context.Context) (Session, error) {
	conn, err := zookeeper.Dial(ctx, e.config)
	if err != nil {
		return nil, err
	}
	return &session{Conn: conn}, nil
}

// session is a Session in a real ensemble.
type session struct {
	*zookeeper.Conn
	own atomic.Pointer[string] // path of the own node in line; nil: not made yet
}

// Timeout is what the server granted.
func (s *session) Timeout() time.Duration { return s.SessionTimeout() }

// Path is the whole path of a node in line.
func (s *session) Path(node string) string { return path.Join(s.Root(), candidatesNode, node) }

func (s *session) replica(id string) string { return path.Join(s.Root(), replicasNode, id) }

// Join makes both nodes in one transaction.
func (s *session) Join(ctx context.Context, id, address string) (string, int64, error) {
	type made struct {
		node  string
		epoch int64
	}
	data, err := json.Marshal(identity{address, s.prove(s.SessionID(), id, address)})
	if err != nil {
		return "", 0, err
	}
	m, err := call(ctx, func() (made, error) {
		for _, parent := range []string{s.Path(""), s.replica("")} {
			if err := s.Make(parent); err != nil {
				return made{}, err
			}
		}
		answers, err := s.Multi(
			&zk.CreateRequest{Path: s.replica(id), Data: data, Acl: s.ACL(), Flags: zk.FlagEphemeral},
			&zk.CreateRequest{Path: s.Path(prefixOf(id)), Data: data, Acl: s.ACL(), Flags: zk.FlagEphemeral | zk.FlagSequence},
		)
		if err != nil || len(answers) != 2 {
			return made{}, fmt.Errorf("cannot become a candidate in ZooKeeper: %w", err)
		}
		there, stat, err := s.Exists(answers[1].String)
		switch {
		case err != nil:
			return made{}, fmt.Errorf("cannot become a candidate in ZooKeeper: %w", err)
		case !there:
			return made{}, ErrGone
		case stat.EphemeralOwner != s.SessionID():
			return made{}, fmt.Errorf("node %s belongs to another session", answers[1].String)
		}
		s.own.Store(&answers[1].String)
		return made{path.Base(answers[1].String), stat.Czxid}, nil
	})
	return m.node, m.epoch, err
}

// Line reads the replicas first; see Line.
func (s *session) Line(ctx context.Context) (Line, error) {
	return call(ctx, func() (l Line, err error) {
		if l.Replicas, _, err = s.Children(s.replica("")); err != nil {
			return Line{}, err
		}
		if l.Candidates, _, err = s.Children(s.Path("")); err != nil {
			return Line{}, err
		}
		return l, nil
	})
}

// Read tells whose a node is.
func (s *session) Read(ctx context.Context, node string) (Replica, error) {
	return call(ctx, func() (Replica, error) {
		data, stat, err := s.Get(s.Path(node))
		if err != nil {
			return Replica{}, goneOr(err)
		}
		who, err := identityOf(data, node)
		if err != nil {
			return Replica{}, err
		}
		trust, err := s.trust(node, stat.EphemeralOwner, who)
		return Replica{Address: who.Address, Epoch: stat.Czxid, Trust: trust, node: node}, err
	})
}

// Gone waits for the end of a node.
func (s *session) Gone(ctx context.Context, node string) error {
	for {
		events, err := call(ctx, func() (<-chan zk.Event, error) {
			_, _, events, err := s.GetW(s.Path(node))
			return events, goneOr(err)
		})
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-events:
			if e.Type == zk.EventNodeDeleted {
				return nil
			}
			if e.Type == zk.EventNotWatching {
				return e.Err
			}
		}
	}
}

// Check is a transaction, which takes a majority, of nothing but the check.
func (s *session) Check(ctx context.Context, node string) error {
	_, err := call(ctx, func() (struct{}, error) {
		_, err := s.Multi(&zk.CheckVersionRequest{Path: s.Path(node), Version: -1})
		return struct{}{}, goneOr(err)
	})
	return err
}

func (s *session) reportOf(id string) string { return path.Join(s.Root(), reportsNode, id) }

// Report rewrites the node, and makes it where it is not there.
func (s *session) Report(ctx context.Context, id string, data []byte) error {
	_, err := call(ctx, func() (struct{}, error) {
		_, err := s.Set(s.reportOf(id), data, -1)
		if errors.Is(err, zk.ErrNoNode) {
			if err := s.Make(s.reportOf("")); err != nil {
				return struct{}{}, err
			}
			_, err = s.Create(s.reportOf(id), data, zk.FlagEphemeral, s.ACL())
		}
		return struct{}{}, err
	})
	return err
}

// Reported returns what the node holds.
func (s *session) Reported(ctx context.Context, id string) ([]byte, error) {
	return call(ctx, func() ([]byte, error) {
		data, _, err := s.Get(s.reportOf(id))
		return data, goneOr(err)
	})
}

func goneOr(err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// call bounds what takes no context. What goes on after ctx ends when the
// session is closed.
func call[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := do()
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

package leader

import (
	"context"
	"time"
)

// Ensemble is what a candidate stands for election in. NewEnsemble is the real
// one.
type Ensemble interface {
	// Dial opens a session; what there was of another is not looked at.
	Dial(ctx context.Context) (Session, error)
}

// Session is one session with ZooKeeper. Every call ends with its context, and
// when the session is closed.
type Session interface {
	// Timeout is the session timeout as the server granted it.
	Timeout() time.Duration
	// Join makes the nodes of a candidate, which end with the session: one in
	// line and one among the replicas. Both hold the address, and what proves it
	// (see Trust). It returns the name of the first and its czxid. After an error one of them may be there: only
	// closing the session is sure to remove it.
	Join(ctx context.Context, id, address string) (node string, epoch int64, err error)
	// Line reads who is there.
	Line(ctx context.Context) (Line, error)
	// Read tells whose a node in line is.
	Read(ctx context.Context, node string) (Replica, error)
	// Gone returns nil or ErrGone when a node in line is not there any more, and
	// another error where that cannot be told.
	Gone(ctx context.Context, node string) error
	// Check has a majority agree that a node in line is there, or returns ErrGone.
	Check(ctx context.Context, node string) error
	// Report gives the replica of an id a node of its own, or rewrites it, which
	// ends with the session.
	Report(ctx context.Context, id string, data []byte) error
	// Reported returns what such a node holds, or ErrGone.
	Reported(ctx context.Context, id string) ([]byte, error)
	// Path is the whole path of a node in line.
	Path(node string) string

	Connected() bool          // a connection carries it now
	Changed() <-chan struct{} // gets a value when Connected may have changed
	Done() <-chan struct{}    // closed when it is over
	Err() error               // why it is over
	// Close ends it, and with it its nodes.
	Close() error
}

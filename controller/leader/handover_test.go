package leader

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is an ensemble that is always there, in this process. Its sessions end
// when they are closed.
type memory struct {
	mu      sync.Mutex
	czxid   int64
	nodes   map[string]*member // in line
	reports map[string][]byte  // by id
	changed chan struct{}      // closed with the next change
}

func newMemory() *memory {
	return &memory{nodes: map[string]*member{}, reports: map[string][]byte{}, changed: make(chan struct{})}
}

// member is a session and what it made.
type member struct {
	of   *memory
	id   string
	is   Replica
	done chan struct{}
}

func (m *memory) change(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	do()
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) Dial(context.Context) (Session, error) {
	return &member{of: m, done: make(chan struct{})}, nil
}

func (s *member) Join(_ context.Context, id, address string) (node string, epoch int64, err error) {
	s.of.change(func() {
		s.of.czxid++
		node = fmt.Sprintf("%s%010d", prefixOf(id), s.of.czxid)
		s.id, s.is = id, Replica{Address: address, Epoch: s.of.czxid, node: node}
		s.of.nodes[node] = s
	})
	return node, s.is.Epoch, nil
}

func (s *member) Line(context.Context) (l Line, err error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	for node, of := range s.of.nodes {
		l.Candidates, l.Replicas = append(l.Candidates, node), append(l.Replicas, of.id)
	}
	return l, nil
}

func (s *member) find(node string) (*member, chan struct{}, error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if found := s.of.nodes[node]; found != nil {
		return found, s.of.changed, nil
	}
	return nil, nil, ErrGone
}

func (s *member) Read(_ context.Context, node string) (Replica, error) {
	found, _, err := s.find(node)
	if err != nil {
		return Replica{}, err
	}
	return found.is, nil
}

func (s *member) Gone(ctx context.Context, node string) error {
	for {
		_, changed, err := s.find(node)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

func (s *member) Check(_ context.Context, node string) error {
	_, _, err := s.find(node)
	return err
}

func (s *member) Close() error {
	s.of.change(func() {
		for node, of := range s.of.nodes {
			if of == s {
				delete(s.of.nodes, node)
				delete(s.of.reports, s.id)
			}
		}
	})
	close(s.done)
	return nil
}

func (s *member) Report(_ context.Context, id string, data []byte) error {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	s.of.reports[id] = data
	return nil
}

func (s *member) Reported(_ context.Context, id string) ([]byte, error) {
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if data, told := s.of.reports[id]; told {
		return data, nil
	}
	return nil, ErrGone
}

func (s *member) Timeout() time.Duration   { return testTimeout }
func (s *member) Path(node string) string  { return "/" + node }
func (s *member) Connected() bool          { return true }
func (s *member) Changed() <-chan struct{} { return nil }
func (s *member) Done() <-chan struct{}    { return s.done }
func (s *member) Err() error               { return errors.New("it was closed") }

// bubbleClock is the time of a synctest bubble.
type bubbleClock struct{ start time.Time }

func (c bubbleClock) Now() Instant {
	d := time.Since(c.start)
	return Instant{Mono: d, Boot: d}
}

// TestNobodyLeadsWhileALeaseIsHeld: what the connections to Marathon let out is
// to be gone before the next replica may write, however long that takes.
func TestNobodyLeadsWhileALeaseIsHeld(t *testing.T) {
	for name, handOver := range map[string]func(t *testing.T, s *standing){
		"it abdicates": func(t *testing.T, s *standing) {
			if err := s.Abdicate(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"it is stopped": func(_ *testing.T, s *standing) { s.cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, clock := newMemory(), bubbleClock{time.Now()}
				one := func(name string) *standing {
					return standWith(t, Options{Ensemble: m, Timeout: testTimeout, Address: "http://" + name, Clock: clock})
				}
				old := one("old")
				time.Sleep(2 * testTimeout)
				next := one("next")
				time.Sleep(2 * testTimeout)
				lease, err := old.Lease()
				if err != nil {
					t.Fatal(err)
				}
				release, err := lease.Hold()
				if err != nil {
					t.Fatal(err)
				}
				handOver(t, old)
				time.Sleep(10 * testTimeout)
				if lease.Err() == nil {
					t.Error("it has not handed over")
				}
				if next.terms.Load() > 0 {
					t.Error("the next one led while the lease was held")
				}
				release()
				time.Sleep(2 * testTimeout)
				if !next.leads() {
					t.Error("the next one does not lead")
				}
				if _, err := lease.Hold(); !errors.Is(err, ErrNoLease) {
					t.Errorf("a lease that has ended can be held: %v", err)
				}
			})
		})
	}
}

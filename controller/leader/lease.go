package leader

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrNoLease is returned where something would be written by who does not lead.
var ErrNoLease = errors.New("this replica has no lease")

// errSuspect is why nothing new is begun though the lease is in force.
var errSuspect = fmt.Errorf("%w that is certain to last (ZooKeeper does not answer, or leadership is being handed over)", ErrNoLease)

// maxDisagreement is how far the two clocks may drift apart during a lease.
const maxDisagreement = 100 * time.Millisecond

// Lease is a leave to write for a time without a gap. Once it has ended it never
// comes back: what comes after a gap is another one. Its methods may be called
// from several goroutines.
type Lease struct {
	clock Clock
	done  chan struct{}

	mu      sync.Mutex
	from    Instant // when the check was sent that it rests on
	length  time.Duration
	suspect bool
	err     error // why it has ended

	held *sync.WaitGroup // by whom its term cannot end yet; see Hold
}

// newLease is in force for a time that began before.
func newLease(clock Clock, from Instant, length time.Duration) *Lease {
	return &Lease{clock: clock, done: make(chan struct{}), from: from, length: length, held: new(sync.WaitGroup)}
}

// Err is nil while writes may leave. It looks at the clocks: to be asked right
// before each piece that goes to a socket, and never remembered.
func (l *Lease) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.look()
}

// look ends the lease if its time is over. Called with mu held.
func (l *Lease) look() error {
	if l.err != nil {
		return l.err
	}
	now := l.clock.Now()
	switch passed := now.Since(l.from); {
	case passed >= l.length:
		l.finish(fmt.Errorf("%w: ZooKeeper has not answered for %s", ErrNoLease, passed.Round(time.Millisecond)))
	case now.disagreement(l.from) > maxDisagreement:
		l.finish(fmt.Errorf("%w: the machine was suspended", ErrNoLease))
	}
	return l.err
}

// Begin is nil while something new may be begun. While ZooKeeper is silent, what
// is under way may go on until the lease ends, but nothing new is begun.
func (l *Lease) Begin() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.look(); err != nil || !l.suspect {
		return err
	}
	return errSuspect
}

// Done is closed when the lease has ended. Time alone closes it only once
// somebody looks: whoever is about to write asks Err.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Hold keeps this replica from giving up its node until release is called, also
// when the lease has ended: where it hands over, nobody else leads before that.
// It is for what must be gone by then, and release must not wait for anybody.
// The error is why the lease has ended.
func (l *Lease) Hold() (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.look(); err != nil {
		return nil, err
	}
	l.held.Add(1)
	return sync.OnceFunc(l.held.Done), nil
}

// Left is how long it will last yet, as things are; 0: it has ended.
func (l *Lease) Left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.look() != nil {
		return 0
	}
	return l.length - l.clock.Now().Since(l.from)
}

// extend makes it last longer, never shorter, unless it has ended.
func (l *Lease) extend(from Instant, length time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.look(); err != nil {
		return err
	}
	if from.Since(l.from)+length > l.length {
		l.from, l.length = from, length
	}
	return nil
}

// doubt keeps new things from being begun, or lets them.
func (l *Lease) doubt(suspect bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suspect = suspect
}

// end ends it before its time.
func (l *Lease) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.finish(why)
	}
}

func (l *Lease) finish(why error) {
	l.err = why
	close(l.done)
}

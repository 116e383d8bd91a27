package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/pacer-gitops/pacer/internal/wait"
)

// loop is the lock of all state, and the one goroutine that drives what no
// request drives. Its methods but Do, report and wakeUp are called under the lock.
type loop struct {
	mu   sync.Mutex
	wake wait.Signal
	ctx  context.Context // ends with the loop
	stop context.CancelFunc
	work sync.WaitGroup

	reporting sync.Mutex
	reports   []func()
}

func newLoop() *loop {
	l := &loop{wake: wait.NewSignal()}
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l
}

// Do calls f under the lock.
func (l *loop) Do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// wakeUp makes the loop go another round, soon.
func (l *loop) wakeUp() { l.wake.Notify() }

// report has f called under the lock, in the order of reports. It does not block:
// the executor may report from within Launch.
func (l *loop) report(f func()) {
	l.reporting.Lock()
	l.reports = append(l.reports, f)
	l.reporting.Unlock()
	l.wakeUp()
}

func (l *loop) takeReports() []func() {
	l.reporting.Lock()
	defer l.reporting.Unlock()
	reports := l.reports
	l.reports = nil
	return reports
}

// background runs f in a goroutine of its own, unless the loop is closed: close
// waits for f.
func (l *loop) background(f func()) {
	if l.ctx.Err() == nil {
		l.work.Go(f)
	}
}

// after calls f later, without the lock, unless the loop is closed before.
func (l *loop) after(delay time.Duration, f func()) {
	l.background(func() {
		if wait.Sleep(l.ctx, delay) == nil {
			f()
		}
	})
}

// run takes reports and calls round, which returns when to call it again, until
// the loop is closed.
func (l *loop) run(round func() time.Duration) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.wake:
		case <-timer.C:
		}
		l.Do(func() {
			for _, report := range l.takeReports() {
				report()
			}
			timer.Reset(round())
		})
	}
}

// close ends the loop and what runs in the background. It reports whether the loop
// was open.
func (l *loop) close() (open bool) {
	l.Do(func() {
		open = l.ctx.Err() == nil
		l.stop()
	})
	l.work.Wait()
	return open
}

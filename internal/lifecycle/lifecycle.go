// Package lifecycle starts the parts of a program and stops them in reverse order: in
// good order if that goes, and within a bounded time in any case.
//
// It knows listeners, servers and goroutines. What they do lives with who starts them.
package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Attended is ctx for as long as somebody watches: until the terminal is closed,
// or somebody who reads the output goes away (which Watched finds out).
// By default either would end the process at once, and the processes that it has
// started would run on. What nohup has made to be ignored stays so.
func Attended(ctx context.Context) (_ context.Context, end context.CancelFunc) {
	// Nobody reads this channel: it only makes a write to a closed pipe an error.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	hangup := func() {}
	if !signal.Ignored(syscall.SIGHUP) {
		ctx, hangup = signal.NotifyContext(ctx, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, hangup)
	return ctx, cancel
}

// Watched is an output that calls End when nobody can read it any more.
type Watched struct {
	io.Writer
	End func()
}

func (w Watched) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.End()
	}
	return n, err
}

// Lifecycle is what a program has started, to be stopped in reverse order: who
// starts something registers its stop on the next line.
type Lifecycle struct {
	stops []namedStop
}

type namedStop struct {
	name string
	stop func(context.Context) error
}

// OnStop registers a stop.
func (l *Lifecycle) OnStop(name string, stop func(context.Context) error) {
	l.stops = append(l.stops, namedStop{name, stop})
}

// TakeOver has what another lifecycle has started be stopped by this one.
func (l *Lifecycle) TakeOver(other *Lifecycle) {
	l.stops = append(l.stops, other.stops...)
	other.stops = nil
}

// What is started is stopped in good order, if that goes; but the process ends
// within 15 s of a signal, whatever hangs: a disk that does not answer, a bug. Who
// supervises it kills it soon after.
const (
	// stopGrace is how long everything together may take to stop.
	stopGrace = 12 * time.Second
	// lateGrace is how long each that is left may still take after that.
	lateGrace = 200 * time.Millisecond
	// endGrace is how long it all may take, from the signal on.
	endGrace = 15 * time.Second
)

// Stop stops everything, last started first, also where one fails or does not end.
// That one is left behind, and ends with the process.
func (l *Lifecycle) Stop(ctx context.Context) error {
	deadline := time.Now().Add(stopGrace)
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	var errs []error
	for i := len(l.stops) - 1; i >= 0; i-- {
		if err := l.stops[i].within(ctx, deadline); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", l.stops[i].name, err))
		}
	}
	l.stops = nil
	return errors.Join(errs...)
}

func (s namedStop) within(ctx context.Context, deadline time.Time) error {
	done := make(chan error, 1)
	go func() { done <- s.stop(ctx) }()
	late := time.NewTimer(max(time.Until(deadline), 0) + lateGrace)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errors.New("it does not end, and is abandoned")
	}
}

// EndLate ends the process some time after ctx, should nothing else have done so.
func EndLate(ctx context.Context, stderr io.Writer, exit func(code int)) {
	context.AfterFunc(ctx, func() {
		time.Sleep(endGrace - 500*time.Millisecond)
		said := make(chan struct{})
		go func() { // it may be this that does not end: a pipe that nobody reads
			defer close(said)
			fmt.Fprintln(stderr, "pacer: shutdown timed out: exiting without it")
		}()
		select {
		case <-said:
		case <-time.After(200 * time.Millisecond):
		}
		exit(1)
	})
}

// Background runs something until the lifecycle stops, and not only until ctx
// ends: it is stopped in its turn.
func (l *Lifecycle) Background(ctx context.Context, name string, run func(context.Context)) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { run(ctx) })
	l.OnStop(name, func(context.Context) error {
		cancel()
		done.Wait()
		return nil
	})
}

// Listen binds an address, so that it is known to be free before anything else is
// done; it is let go when the lifecycle stops. option says where another address
// can be given.
func (l *Lifecycle) Listen(name, addr, option string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, cannotListen(name, addr, option, err)
	}
	l.OnStop("the address of "+name, func(context.Context) error {
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) { // whoever served has closed it
			return err
		}
		return nil
	})
	return ln, nil
}

// cannotListen says why an address cannot be bound, and what to do about it.
func cannotListen(name, addr, option string, err error) error {
	remedy := "choose another address"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		remedy = "another process listens there: end that one, or choose another address"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		remedy = "this machine does not have that address: choose one of its own"
	case errors.Is(err, syscall.EACCES):
		remedy = "this user may not use that port: choose one above 1023"
	}
	return fmt.Errorf("%s cannot listen at %s: %w: %s (%s)", name, addr, err, remedy, option)
}

// Serve serves in the background, at what Listen has bound, until the lifecycle
// stops. fail receives the error of a server that ends by itself.
func (l *Lifecycle) Serve(name string, ln net.Listener, server *http.Server, fail func(error)) {
	var done sync.WaitGroup
	done.Go(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("%s at %s: %w", name, ln.Addr(), err))
		}
	})
	l.OnStop(name, func(ctx context.Context) error {
		defer done.Wait()
		drain, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if server.Shutdown(drain) != nil { // streams do not end by themselves
			return server.Close()
		}
		return nil
	})
}

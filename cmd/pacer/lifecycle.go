package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// lifecycle is what a program has started, to be stopped in reverse order: who
// starts something registers its stop on the next line.
type lifecycle struct {
	stops []namedStop
}

type namedStop struct {
	name string
	stop func(context.Context) error
}

// onStop registers a stop.
func (l *lifecycle) onStop(name string, stop func(context.Context) error) {
	l.stops = append(l.stops, namedStop{name, stop})
}

// stopGrace is how long everything together may take to stop.
const stopGrace = 15 * time.Second

// stop stops everything, last started first, also where one fails.
func (l *lifecycle) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	var errs []error
	for i := len(l.stops) - 1; i >= 0; i-- {
		if err := l.stops[i].stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", l.stops[i].name, err))
		}
	}
	l.stops = nil
	return errors.Join(errs...)
}

// serve listens at addr and serves in the background until the lifecycle stops.
// fail receives the error of a server that ends by itself.
func (l *lifecycle) serve(name, addr string, server *http.Server, fail func(error)) (net.Addr, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s cannot listen at %s: %w: give another address", name, addr, err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("%s at %s: %w", name, addr, err))
		}
	})
	l.onStop(name, func(ctx context.Context) error {
		defer done.Wait()
		drain, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if server.Shutdown(drain) != nil { // streams do not end by themselves
			return server.Close()
		}
		return nil
	})
	return ln.Addr(), nil
}

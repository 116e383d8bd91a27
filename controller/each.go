package controller

import (
	"runtime"

	"golang.org/x/sync/errgroup"
)

// SideBySide calls do for 0 … n-1, on as many processors as there are, and
// returns when all are done. It is for work that waits for nothing.
func SideBySide(n int, do func(i int)) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		g.Go(func() error {
			do(i)
			return nil
		})
	}
	_ = g.Wait() // none fails
}

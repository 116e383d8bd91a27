package cache

import (
	"context"
	"math"

	"github.com/pacer-gitops/pacer/controller/marathon"
)

// App reads one app past the cache, and Pod one pod.
func (c *Cache) App(ctx context.Context, id string) (marathon.App, error) { return c.up.App(ctx, id) }

// Pod is like App.
func (c *Cache) Pod(ctx context.Context, id string) (marathon.Pod, error) { return c.up.Pod(ctx, id) }

// SecondIDs is the Client's.
func (c *Cache) SecondIDs(ctx context.Context) (ids map[string]bool, asked bool, err error) {
	return c.up.SecondIDs(ctx)
}

// Distrust has everything read again before State or Confirm answers who asks from
// now on: something has shown that what was read last is not whole.
func (c *Cache) Distrust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synced, c.listed = false, math.MinInt64
	c.wake.Notify()
}

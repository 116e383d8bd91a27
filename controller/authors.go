package controller

import (
	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

// authored passes on who wrote an app or a pod.
func (c *Controller) authored(m *cluster, w marathon.Written) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, y := range c.syncers {
		if y.cluster == m && manifests.Within(w.ID, y.spec.Policy.Scope) {
			y.wrote(w)
		}
	}
}

// wrote notes who wrote an id, unless that was Pacer. While a pass works on an id
// its own writes are told of, too: the first of them shows where Pacer itself
// comes from.
func (y *syncer) wrote(w marathon.Written) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if cur := y.current; cur != nil && cur.works != nil && !cur.foreign(w.ID) {
		if y.self == "" {
			y.self = w.From
		}
		if w.From == y.self {
			return
		}
	}
	y.authors[w.ID] = w.From
}

// wroteOver forgets who wrote an id: Pacer has since.
func (y *syncer) wroteOver(id string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.authors, id)
}

// authorOf is the address from which an id was written since Pacer did; empty:
// not known.
func (y *syncer) authorOf(id string) string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.authors[id]
}

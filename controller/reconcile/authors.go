package reconcile

import (
	"sync"

	"github.com/pacer-gitops/pacer/controller/marathon"
)

// Authors are the addresses that wrote the apps of a sync since Pacer did, as far as
// Marathon tells.
type Authors struct {
	mu   sync.Mutex
	of   map[string]string // by id
	self string            // where Pacer's own requests come from, as Marathon sees it; empty: not known
}

// Wrote notes who wrote an id, unless that was Pacer. While a reconciliation works on
// an id its own writes are told of, too: the first of them shows where Pacer itself
// comes from.
func (a *Authors) Wrote(w marathon.Written, own bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if own {
		if a.self == "" {
			a.self = w.From
		}
		if w.From == a.self {
			return
		}
	}
	if a.of == nil {
		a.of = map[string]string{}
	}
	a.of[w.ID] = w.From
}

// forget forgets who wrote an id: Pacer has since, or it is gone.
func (a *Authors) forget(gone func(id string) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range a.of {
		if gone(id) {
			delete(a.of, id)
		}
	}
}

// author is the address from which an id was written since Pacer did; empty: not
// known.
func (a *Authors) author(id string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[id]
}

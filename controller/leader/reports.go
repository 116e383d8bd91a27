package leader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Replicas tell each other which sources they cannot read, each in a node beside
// the election that ends with its session. The nodes of the election are not
// rewritten for it: writes to the store depend on their version.

// report is what such a node holds.
type report struct {
	Failing []string `json:"failing"` // names of sources, sorted
}

// maxReport is how many bytes of a report are read.
const maxReport = 256 << 10

// Report tells the other replicas which sources this one cannot read now. It does
// not wait; what was told is told again in each session.
func (c *Candidate) Report(failing []string) {
	failing = slices.Sorted(slices.Values(failing))
	if failing == nil {
		failing = []string{}
	}
	data, err := json.Marshal(report{failing})
	if err != nil || len(data) > maxReport {
		return // so many names are of no use to the others
	}
	c.mu.Lock()
	c.report = data
	c.mu.Unlock()
	select {
	case c.events <- heard{event: event{kind: ticked}}:
	default: // the loop is about to look anyhow
	}
}

// Reports returns what the other candidates have told, one list each. A
// candidate that has told nothing yet is left out.
func (c *Candidate) Reports(ctx context.Context) ([][]string, error) {
	c.mu.Lock()
	session, own := c.session, c.id
	c.mu.Unlock()
	if session == nil {
		return nil, fmt.Errorf("%w: this replica has no ZooKeeper session", ErrNobody)
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout/2)
	defer cancel()
	line, err := session.Line(ctx)
	if err != nil {
		return nil, err
	}
	places, _ := line.places()
	var all [][]string
	for _, p := range places {
		if p.id == own {
			continue
		}
		data, err := session.Reported(ctx, p.id)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var told report
		if len(data) > maxReport || json.Unmarshal(data, &told) != nil || told.Failing == nil {
			continue // not one of ours, or of a later version
		}
		all = append(all, told.Failing)
	}
	return all, nil
}

// tell puts the newest report into ZooKeeper, where it is not yet. One that was
// not taken is tried again a little later.
func (r *run) tell() {
	r.mu.Lock()
	data := r.report
	r.mu.Unlock()
	if data == nil || r.session == nil || r.e.node == "" || r.telling || r.toldIn == r.e.node && bytes.Equal(data, r.told) {
		return
	}
	if r.o.Clock.Now().Since(r.tellAt) < 0 {
		return
	}
	id, node := r.e.id, r.e.node
	r.telling = true
	r.ask(r.e.term, func(ctx context.Context, s Session) heard {
		t := &told{node: node, data: data, err: s.Report(ctx, id, data)}
		return heard{told: t}
	})
}

// told is what became of a report.
type told struct {
	node string // in line, of the term
	data []byte
	err  error
}

// hasTold takes in what became of a report.
func (r *run) hasTold(t *told) {
	r.telling = false
	if t.err != nil {
		r.tellAt = r.o.Clock.Now().Add(r.o.Timeout / 5)
		r.o.Log.Debug("cannot report unreadable sources to the other replicas", "error", t.err)
		return
	}
	r.toldIn, r.told = t.node, t.data
}

package store

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/google/uuid"
)

// Remember is a store whose losses are known, by what a ledger remembers: of a
// record that is lost Load and Peek return what is there now, and a LostError.
// The next Save of a record with an id of its own, which replaces what was lost,
// ends that. Where several replicas share the store, one that only peeks tells
// the leader of what it alone remembers. log gets what keeps the ledger from
// being written.
func Remember(r Records, l *Ledger, log *slog.Logger) Records {
	m := &remembering{Records: r, ledger: l, log: log, place: placeOf(r), heard: map[string]string{}}
	m.claimer, _ = r.(claimer)
	if a, ok := r.(aheadSaver); ok {
		return &rememberingAhead{m, a}
	}
	return m
}

type remembering struct {
	Records
	ledger  *Ledger
	claimer claimer // nil: nobody shares the store
	place   string
	log     *slog.Logger

	mu    sync.Mutex
	heard map[string]string // by sync: the claim that the next record is to settle
}

type aheadSaver interface {
	SaveAhead(ctx context.Context, sync string, s State) error
}

type rememberingAhead struct {
	*remembering
	aheadSaver
}

// claimer is a store that replicas share. A claim is what one that does not lead
// has to say to the leader: that it remembers another record.
type claimer interface {
	// Place names where the records are.
	Place() string
	// claimed returns the claim for a sync; nil: there is none.
	claimed(ctx context.Context, sync string) (*claim, error)
	// isClaimed reports whether there is one, as the nearest server knows.
	isClaimed(ctx context.Context, sync string) (bool, error)
	// claim makes a claim, unless there is one. A record that was read before is
	// not saved any more. False: it has been saved since this process read it.
	claim(ctx context.Context, sync string, c claim) (bool, error)
	// settle removes a claim.
	settle(ctx context.Context, sync, id string) error
}

// claim is a report that a record is lost.
type claim struct {
	ID  string   `json:"id"`
	Why string   `json:"why"`
	Was []string `json:"was,omitempty"`
}

// Load is Load of the store, see Remember.
func (m *remembering) Load(ctx context.Context, sync string) (State, error) {
	s, err := m.Records.Load(ctx, sync)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNewer) {
		// What is set aside is known to be lost, also if this process ends now.
		if !m.ledger.knows(sync) {
			m.note(sync, uuid.NewString())
		}
		return s, err
	}
	if err != nil {
		return s, err
	}
	lost := m.ledger.judge(sync, m.place, &s)
	if m.claimer != nil {
		if lost, err = m.hear(ctx, sync, &s, lost); err != nil {
			return s, err
		}
	}
	return m.answer(sync, s, lost)
}

// Peek is Peek of the store, see Remember.
func (m *remembering) Peek(ctx context.Context, sync string) (State, error) {
	for {
		s, err := m.Records.Peek(ctx, sync)
		if err != nil {
			return s, err
		}
		lost := m.ledger.judge(sync, m.place, &s)
		if lost == nil || m.claimer == nil {
			return m.answer(sync, s, lost)
		}
		made, err := m.claimer.claim(ctx, sync, claim{ID: uuid.NewString(), Why: lost.Why, Was: lost.Was})
		if err != nil {
			m.log.Warn("cannot report a loss of state to the leader", "sync", sync, "loss", lost.Why, "error", err)
		}
		if made || err != nil {
			return s, lost
		}
	}
}

func (m *remembering) answer(sync string, s State, lost *LostError) (State, error) {
	if lost != nil {
		return s, lost
	}
	m.note(sync, s.ID)
	return s, nil
}

// hear adds to a loss what other replicas claim, and removes a claim that the
// record knows of.
func (m *remembering) hear(ctx context.Context, sync string, s *State, lost *LostError) (*LostError, error) {
	c, err := m.claimer.claimed(ctx, sync)
	switch {
	case err != nil || c == nil:
		return lost, err
	}
	m.mu.Lock()
	m.heard[sync] = c.ID
	m.mu.Unlock()
	switch {
	case s.replaces(c.ID):
		m.settle(ctx, sync, s)
		return lost, nil
	case lost == nil:
		lost = &LostError{Why: c.Why}
	}
	lost.Was = append(slices.Concat(c.Was, lost.Was), c.ID)
	return lost, nil
}

// Claimed reports whether another replica has said that a record is lost since it
// was loaded. It may be a moment late.
func (m *remembering) Claimed(ctx context.Context, sync string) (bool, error) {
	if m.claimer == nil {
		return false, nil
	}
	return m.claimer.isClaimed(ctx, sync)
}

// settle removes a claim that a saved record knows of. If that fails, the next
// load finds it again.
func (m *remembering) settle(ctx context.Context, sync string, s *State) {
	m.mu.Lock()
	id, claimed := m.heard[sync]
	claimed = claimed && s.replaces(id)
	if claimed {
		delete(m.heard, sync)
	}
	m.mu.Unlock()
	if !claimed {
		return
	}
	if err := m.claimer.settle(ctx, sync, id); err != nil {
		m.log.Warn("cannot remove the report of a loss of state that is handled", "sync", sync, "error", err)
	}
}

// Save is Save of the store.
func (m *remembering) Save(ctx context.Context, sync string, s State) error {
	if err := m.Records.Save(ctx, sync, s); err != nil {
		return err
	}
	m.note(sync, s.ID)
	m.settle(ctx, sync, &s)
	return nil
}

func (m *remembering) note(sync, id string) {
	if err := m.ledger.note(sync, m.place, id); err != nil {
		m.log.Warn("cannot record a saved state in the ledger", "sync", sync, "error", err)
	}
}

package reconcile

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// A save that failed may have saved: what people were told is not in force is not
// left in the store by a line that tells of a write alone.
func TestAfterASaveThatFailedAllIsSaved(t *testing.T) {
	t.Parallel()
	saved := &lateStore{}
	p := &reconciliation{r: &Reconciler{Config: Config{Store: saved, Sync: Sync{Name: "shop"}, View: NewView(status.Sync{})}, record: record{loaded: true}}}
	p.r.record.state.Sent = map[string]store.Sent{}
	suspend := &Command{Change: func(s *store.State) error {
		s.Suspended = true
		return nil
	}}
	answers := make([]error, 1)
	saved.late = errors.New("the folder cannot be synced")
	if p.carryOut(t.Context(), []*Command{suspend}, answers); answers[0] == nil || p.r.record.state.Suspended {
		t.Fatalf("suspended: %v, told %v", p.r.record.state.Suspended, answers[0])
	}
	saved.late = nil
	k := p.keep(t.Context())
	if err := k.sending(func(sent map[string]store.Sent) { sent["/shop/a"] = store.Sent{Body: "b"} }); err != nil {
		t.Error(err)
	}
	if err := k.close(); err != nil {
		t.Error(err)
	}
	if state := saved.state; state.Suspended || len(state.Sent) != 1 {
		t.Errorf("saved: %+v", state)
	}
}

// However much there is to save, and however slow the store is, what an apply changes
// is saved during a tenth of the time at most, but not left to its end.
func TestSavesTakeATenthOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{takes: 3 * time.Second}
		p := &reconciliation{r: &Reconciler{Config: Config{Store: slow, Sync: Sync{Name: "shop"}, View: NewView(status.Sync{})}, record: record{loaded: true}}}
		k := &keeper{p: p, ctx: t.Context()}
		began := time.Now()
		for range 10_000 {
			k.change(func() bool { return true })
			time.Sleep(100 * time.Millisecond)
		}
		if took, least := time.Since(began), time.Since(began)/20; slow.spent < least || slow.spent > took/10 {
			t.Errorf("of %s %s went to saving", took, slow.spent)
		}
	})
}

// A slowStore takes its time for each save.
type slowStore struct {
	lateStore
	takes, spent time.Duration
}

func (s *slowStore) Save(ctx context.Context, sync string, state store.State) error {
	time.Sleep(s.takes)
	s.spent += s.takes
	return s.lateStore.Save(ctx, sync, state)
}

// lateStore saves, and may report an error nevertheless, as where a folder cannot be
// synced.
type lateStore struct {
	state store.State
	late  error
}

func (s *lateStore) Load(context.Context, string) (store.State, error) { return s.state, nil }

func (s *lateStore) Save(_ context.Context, _ string, state store.State) error {
	s.state = state
	s.state.Sent = maps.Clone(state.Sent)
	return s.late
}

// SaveAhead saves nothing but what is sent, and so leaves what was saved before.
func (s *lateStore) SaveAhead(_ context.Context, _ string, state store.State) error {
	s.state.Sent = maps.Clone(state.Sent)
	return nil
}

func (s *lateStore) Close() error { return nil }

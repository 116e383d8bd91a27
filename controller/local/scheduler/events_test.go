package scheduler

import "testing"

func TestASlowReaderOfEventsIsDropped(t *testing.T) {
	e := &Events{streams: map[*Stream]bool{}}
	s := e.Subscribe(nil)
	for range streamBuffer + 1 {
		e.Publish("test", func() map[string]any { return map[string]any{} })
	}
	select {
	case <-s.Lost:
	default:
		t.Error("it was kept")
	}
}

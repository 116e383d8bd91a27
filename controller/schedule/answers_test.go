package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestAnswersAreConfirmedByHowOftenTheyComeInARow(t *testing.T) {
	now := time.Unix(1700000000, 0)
	var a answers
	ask := func(ids string, gap time.Duration) {
		for _, id := range ids {
			now = now.Add(gap)
			a.note(string(id), now)
		}
	}
	ask("nnnnooooo", ConfirmGap)
	if !a.confirmed(now) {
		t.Errorf("five times the same: %+v", a)
	}
	ask("nooo", ConfirmGap)
	if a.confirmed(now) {
		t.Errorf("three times: %+v", a)
	}
	ask("nooooooooo", ConfirmGap)
	if a.confirmed(now) {
		t.Errorf("a source that wavers is believed after nine times: %+v", a)
	}
	ask("ooooooooooo", ConfirmGap)
	if !a.confirmed(now) {
		t.Errorf("and not after twenty: %+v", a)
	}
	now = now.Add(2 * waverMemory)
	ask("p", ConfirmGap)
	ask(strings.Repeat("p", 100), ConfirmGap/20)
	if a.same < 5 || a.same > 6 {
		t.Errorf("counted %d of answers that came at once", a.same)
	}
	for i := range 3 * maxShown {
		a.note(fmt.Sprint(i), now)
	}
	if len(a.shown) != maxShown {
		t.Errorf("%d revisions are remembered", len(a.shown))
	}
}

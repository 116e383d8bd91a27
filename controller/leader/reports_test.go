package leader

import (
	"fmt"
	"path"
	"testing"

	"github.com/pacer-gitops/pacer/controller/zookeeper/zktest"
)

// Each replica knows what the others told last, in a real ensemble: also one that
// comes later, after a new session, and no more of one that is gone.
func TestReplicasTellEachOtherWhichSourcesTheyCannotRead(t *testing.T) {
	c := config(t, zktest.Shared(t))
	a, b := stand(t, "a", NewEnsemble(c)), stand(t, "b", NewEnsemble(c))
	hears := func(who *standing, want string) {
		t.Helper()
		zktest.Await(t, want, func() bool {
			all, err := who.Reports(t.Context())
			return err == nil && fmt.Sprint(all) == want
		})
	}
	hears(a, "[]")
	b.Report(nil)
	hears(a, "[[]]")
	b.Report([]string{"shop", "bank"})
	hears(a, "[[bank shop]]")
	a.Report([]string{"bank"})
	hears(b, "[[bank]]")

	operator := operator(t, c)
	caughtUp(t, operator)
	names, _, err := operator.Children(path.Join(c.Root, reportsNode))
	if err != nil || len(names) != 2 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names { // whatever it may be
		if _, err := operator.Set(path.Join(c.Root, reportsNode, name), []byte("{}"), -1); err != nil {
			t.Fatal(err)
		}
	}
	hears(a, "[]")
	b.Report([]string{"bank"})
	hears(a, "[[bank]]")

	led := a
	zktest.Await(t, "a leader", func() bool {
		if led = a; !a.leads() {
			led = b
		}
		return led.leads()
	})
	if err := led.Abdicate(t.Context()); err != nil { // its session ends, and with it what it told
		t.Fatal(err)
	}
	other := a
	if led == a {
		other = b
	}
	zktest.Await(t, "the other", other.leads)
	if led == a {
		hears(b, "[[bank]]")
	} else {
		hears(a, "[[bank]]")
	}
	b.stop()
	hears(a, "[]")
}

package leader

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

var (
	schedules = flag.Int("schedules", 2000, "how many `schedules` the simulation plays")
	firstSeed = flag.Uint64("seed", 1, "`seed` of the first schedule; with -schedules 1 it plays one again")
)

// trouble plays random faults till an end: freezes, kills, hand-overs, cut links,
// frozen servers, deleted nodes, a wipe.
func (s *sim) trouble(until time.Duration) {
	mean := s.timeout/4 + s.upTo(s.timeout)
	var next func()
	next = func() {
		if s.now >= until {
			return
		}
		s.at(s.upTo(2*mean), next)
		s.fault()
		if s.chance(0.3) { // faults like company
			s.at(s.upTo(s.tick), s.fault)
		}
	}
	s.at(s.upTo(mean), next)
}

func (s *sim) fault() {
	if s.calm {
		return
	}
	r := s.replicas[s.rand.IntN(len(s.replicas))]
	if s.chance(0.6) {
		for _, other := range s.replicas {
			if other.e != nil && other.e.lease != nil {
				r = other
			}
		}
	}
	f := s.servers[s.rand.IntN(simServers)]
	long := s.upTo(s.timeout * 3 / 2)
	switch s.rand.IntN(13) {
	case 0, 1:
		r.freeze(long, false)
	case 2:
		r.freeze(long, true)
	case 3:
		r.kill()
		s.at(s.upTo(s.timeout), r.start)
	case 4: // the leader's server is cut off from the others
		if r.client != nil && r.client.server != nil {
			f = r.client.server
		}
		s.note("server %d is cut off from the others for %s", f.i, long)
		for _, other := range s.servers {
			if other != f {
				s.cut(f.i, other.i, long)
			}
		}
	case 5:
		s.note("replica %d is cut off from all of ZooKeeper for %s", r.i, long)
		for _, f := range s.servers {
			s.cut(10+r.i, f.i, long)
		}
	case 6:
		s.note("replica %d is cut off from server %d for %s", r.i, f.i, long)
		s.cut(10+r.i, f.i, long)
	case 7:
		if s.chance(0.5) && s.chief >= 0 {
			f = s.servers[s.chief]
		}
		s.note("server %d is frozen for %s", f.i, long)
		f.frozen = max(f.frozen, s.now+long)
		s.at(long, s.govern)
	case 8:
		if r.e != nil && s.now >= r.frozen {
			r.tell(event{kind: abdicated})
		}
	case 9:
		if r.e != nil && s.now >= r.frozen {
			s.note("replica %d is told to stop", r.i)
			r.tell(event{kind: stopped})
		}
	case 10: // an operator deletes a node
		if r.e != nil && r.e.node != "" && s.chief >= 0 && s.majority(s.chief) {
			s.note("the node of replica %d is deleted", r.i)
			s.commit(txn{deletes: []string{"c/" + r.e.node}})
		}
	case 11:
		if s.chance(0.1) {
			s.wipe()
		}
	case 12:
		s.trap(r)
	}
}

// trap is the worst for a lease: a session is silent for as long as its
// connection lives without a sign of life, which is two thirds of the timeout, a
// check goes through, and its server is cut off before the leader of the ensemble
// has heard of it.
func (s *sim) trap(r *simReplica) {
	silent := s.timeout*45/100 + s.upTo(s.timeout/4)
	r.freeze(silent, false)
	s.at(silent+s.upTo(s.tick/2), func() {
		if s.calm || r.client == nil || r.client.server == nil {
			return
		}
		f := r.client.server
		s.note("server %d is cut off from the others for %s", f.i, s.timeout)
		for _, other := range s.servers {
			if other != f {
				s.cut(f.i, other.i, s.timeout)
			}
		}
	})
}

// heal waits for the end of every fault.
func (s *sim) heal() {
	s.calm = true
	until := s.now
	for _, d := range s.cuts {
		until = max(until, d)
	}
	for _, f := range s.servers {
		until = max(until, f.frozen)
	}
	for _, r := range s.replicas {
		until = max(until, r.frozen)
		if r.e == nil {
			r.start()
		}
	}
	s.run(until + s.tick)               // a server that thaws passes on what signs of life it has
	for s.chief < 0 && s.broken == "" { // the ensemble's own election is not ours to hurry
		s.run(s.now + s.tick)
	}
	s.note("everything is healed")
}

// leading is the replica that may write now; nil: none.
func (s *sim) leading() *simReplica {
	for _, r := range s.replicas {
		if r.e != nil && r.e.state == Leading && r.e.lease != nil && r.e.lease.Err() == nil {
			return r
		}
	}
	return nil
}

// play plays one schedule whole. It returns what is wrong.
func play(seed uint64, v variant) (*sim, error) {
	s := newSim(seed, v)
	trouble := 6 * s.timeout
	s.at(s.upTo(s.timeout), func() { s.trouble(trouble) })
	s.run(trouble)
	if s.broken != "" {
		return s, fmt.Errorf("unsafe: %s", s.broken)
	}
	s.heal()
	healed := s.now
	within := s.timeout + s.tick + time.Second
	if s.wiped { // then everybody is new in line
		within += s.timeout / 2
	}
	for s.leading() == nil && s.broken == "" && s.now < healed+within {
		s.run(s.now + 10*time.Millisecond)
	}
	led := s.leading()
	if s.broken == "" && led == nil {
		return s, fmt.Errorf("nobody leads %s after everything was healed", s.now-healed)
	}
	writes := s.writes
	s.run(s.now + 2*s.timeout)
	switch {
	case s.broken != "":
		return s, fmt.Errorf("unsafe: %s", s.broken)
	case s.writes == writes:
		return s, fmt.Errorf("nothing is written though everything was healed")
	case s.leading() == nil:
		return s, fmt.Errorf("nobody leads at rest")
	}
	return s, nil
}

// TestNoTwoTermsWritesInterleave plays thousands of schedules. A failure names
// its seed: go test -run TestNoTwoTerms -seed N -schedules 1 plays it again.
func TestNoTwoTermsWritesInterleave(t *testing.T) {
	testenv.Long(t)
	var next, writes, leases atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for !t.Failed() {
				n := next.Add(1) - 1
				if n >= int64(*schedules) {
					return
				}
				s, err := play(*firstSeed+uint64(n), variant{})
				writes.Add(int64(s.writes))
				leases.Add(int64(s.leases))
				if err != nil {
					t.Errorf("seed %d (T %s, tick %s): %v\n%s", s.seed, s.timeout, s.tick, err, s.told())
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d schedules, %d leases, %d writes", min(next.Load(), int64(*schedules)), leases.Load(), writes.Load())
}

// TestTheSimulationCatchesNaiveWays shows that the test above can fail: each of
// these is what somebody might think to be enough.
func TestTheSimulationCatchesNaiveWays(t *testing.T) {
	for _, v := range []variant{
		{name: "the lease is looked at when the request is built", checkAtBuild: true},
		{name: "the session's state is the lease", trustSession: true},
		{name: "the lease rests on the newest check alone", oneProof: true, from: 1500},
		{name: "the first in line never waits for leases of others", noPatience: true},
	} {
		t.Run(v.name, func(t *testing.T) {
			for seed := v.from; seed < v.from+20000; seed++ {
				if s, _ := play(seed, v); s.broken != "" {
					t.Logf("caught with seed %d: %s", seed, s.broken)
					return
				}
			}
			t.Error("it is not caught")
		})
	}
}

package scheduler

import (
	"fmt"
	"math/rand/v2"
	"net"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// Agent is the one agent, with what of it is in use.
type Agent struct {
	state.Agent
	ID    string
	used  state.Resources
	ports map[int]bool // host ports of tasks
	next  int          // where freePort continues; see there
	offer int          // moves when there is more to offer
}

func newAgent(a state.Agent, id string) *Agent {
	// Two of them on one machine must not offer the same ports in the same order:
	// between an offer and the task's own bind the port is not held.
	return &Agent{Agent: a, ID: id, ports: map[int]bool{}, next: rand.IntN(a.PortMax - a.PortMin + 1)}
}

// Free is what the agent has left.
func (a *Agent) Free() state.Resources { return a.Resources().Minus(a.used) }

// offersMore says that what was declined may fit now.
func (a *Agent) offersMore() { a.offer++ }

func (a *Agent) take(t *state.Task) {
	a.used = a.used.Plus(t.Resources)
	for _, p := range t.Ports {
		a.ports[p] = true
	}
}

func (a *Agent) giveBack(t *state.Task) {
	a.used = a.used.Minus(t.Resources)
	for _, p := range t.Ports {
		delete(a.ports, p)
	}
	a.offersMore()
}

// choosePorts finds a free host port for each that a launch asks for. Nothing is
// taken yet.
func (a *Agent) choosePorts(l *launch) bool {
	chosen := map[int]bool{}
	for i := range l.tasks {
		t := &l.tasks[i]
		t.ports = nil
		for _, r := range t.portRequests {
			if r.noHost {
				continue
			}
			port := r.host
			if port == 0 {
				port = a.freePort(chosen)
			}
			if port == 0 || a.ports[port] || chosen[port] {
				return false
			}
			chosen[port] = true
			t.ports = append(t.ports, port)
		}
	}
	return true
}

// freePort is the next free port of the range; 0: there is none. It goes round,
// so that a port which has just been given back rests a while: its last
// connections may still be closing, and its old clients still asking.
func (a *Agent) freePort(chosen map[int]bool) int {
	size := a.PortMax - a.PortMin + 1
	for range size {
		port := a.PortMin + a.next%size
		a.next++
		if !a.ports[port] && !chosen[port] && portFree(port) {
			return port
		}
	}
	return 0
}

// portFree asks the machine, since Marathon's agent shares it with others.
func portFree(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

package zookeeper

import "sync"

// names hands the servers to the library by name, one after another. The
// library's own way looks the names up once, fails altogether where one is not
// found, and leaves nothing but addresses for a certificate to be checked against.
type names struct {
	mu      sync.Mutex
	servers []string
	current int
	last    int // the one that was connected to
}

// Init takes the servers in the order in which they are to be tried.
func (n *names) Init(servers []string) error {
	n.servers, n.current, n.last = servers, -1, -1
	return nil
}

// Len is how many servers there are.
func (n *names) Len() int { return len(n.servers) }

// Next is the next server; round tells that all were tried since one was
// connected to.
func (n *names) Next() (server string, round bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current = (n.current + 1) % len(n.servers)
	round = n.current == n.last
	if n.last == -1 {
		n.last = 0
	}
	return n.servers[n.current], round
}

// Connected tells that the server given last granted a session.
func (n *names) Connected() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = n.current
}

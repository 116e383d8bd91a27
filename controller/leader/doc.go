// Package leader elects one of several replicas in ZooKeeper, and gives it a
// lease: the time for which it may still write to Marathon.
//
// It knows nothing of what is written; controller/marathon asks the lease before
// each piece of a request that goes to a socket.
//
// # Why a lease
//
// Marathon takes no fencing token, so a write of a replica that was leader until
// a moment ago cannot be told from one of its successor. A session that looks
// alive proves nothing: a server that is cut off from the others goes on
// answering reads and pings, of nodes that are deleted already. What proves
// something is a write that a majority has agreed to. So every candidate checks
// its own node by such a write every T/5 (T is the session timeout), and the
// first in line has a lease until
//
//	min(s + T/2, a + T)
//
// where s is when the newest check was sent that was answered within T/5, and a
// when an older one was, two before it or more: answered T/8 or more before the
// one between was sent, as that was before the newest. The first is what a
// healthy session is sure of; the second holds where it was silent for a while,
// and the check that ends the silence goes through in the last moment. The leader
// of the ensemble counts the timeout from signs of life, of which a write is none:
// another server tells it of those of its clients with the answer to the next
// ping, twice a tick. So it is only the third check, with a ping before the
// second, that shows that the leader has heard of the first. T must be four ticks
// at least.
//
// A candidate that has become the first leads at once, if those before it are
// gone with their sessions. It waits T/2, within which every lease of another
// ends, if a replica is still alive whose node is gone (an operator deleted it),
// and from when it first saw itself in line (the ensemble may have been wiped).
//
// # States of a candidate
//
//	Connecting    opens a session; one connection a term, closed after any error
//	Joining       makes its node, ephemeral and sequential
//	Waiting       somebody is before it: watches that one alone, lists again every T
//	Verifying     first in line: waits for a check, and for leases that may be in force
//	Leading       has a lease, and works
//	Suspect       two checks missed, or disconnected: begins nothing new; the lease
//	              may end: work is cancelled then, the node is kept
//	Resuming      checks succeed again: works anew, once the old work has ended
//	SteppingDown  told to hand over: work has a second to end, then the lease does, and
//	              then the session, as soon as nobody holds the lease (Lease.Hold)
//
// Its node gone, its session over, or no check in T: the term is over at once,
// and the next begins with Connecting.
//
// # Inside
//
// election decides: it takes an event and a time and returns commands, without a
// clock, a goroutine or a connection. Candidate is the shell that carries the
// commands out, and the simulation of the tests is another one.
package leader

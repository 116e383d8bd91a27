// Package reconcile is one reconciliation of one sync: what is fetched, what Marathon
// has and what is stored go in, and what follows comes out (Input, Result). In between
// it decides what the sync goes by (hold.go), plans, applies, and notes what became of
// it: in the stored state (record.go), in the history, and in what is shown (View).
//
// A Reconciler keeps what one reconciliation leaves to the next. It knows nothing of
// the controller, nor of when it is called: that is schedule's. Observers are told of
// what ended.
//
// Locks: View, Authors and Running have one each, which guards their own fields, and
// none calls another while it holds its own. Everything else of a Reconciler belongs to
// the reconciliation in progress, of which there is one at a time.
package reconcile

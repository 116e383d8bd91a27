// Package schedule decides when each sync is reconciled, and is the only place that adds
// to the queue: see Schedule for the table of causes. A Watcher fetches a source for all
// syncs that read it, by the clock and on request, and knows what the source answered.
//
// What a reconciliation does is in reconcile. Who asks for one, and why, is the caller's
// to say: the controller's for people, Marathon's events and terms.
//
// Locks: a Slot's before that of the Running in it; a Watcher's alone. The controller
// calls them with its own lock held, and they never call it.
package schedule

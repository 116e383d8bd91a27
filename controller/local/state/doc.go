// Package state is what a Marathon knows, as values.
//
// Definitions: a RootGroup is one version of all groups, apps and pods, and
// never changes. A write fills a Draft of the next one, which normalises,
// assigns service ports, compares, checks and plans the steps of the deployment
// (draft.go, steps.go). Versions keeps the root group and what it was before.
//
// What runs: an Instance of a run spec has tasks (instance.go), waits in the
// LaunchQueue for the offers of the one Agent (offers.go), and its failures hold
// the next launch back (backoff.go).
//
// There is no lock, clock, disk or network here: controller/local/scheduler owns
// these values and decides when they change.
package state

// Package controller is the loop that keeps git and Marathon the same: triggers,
// a queue, and one pass of one sync at a time.
//
// It joins sources, manifests, plan, apply, marathon and store. It is
// level-triggered: a trigger only says look again, and a pass acts on the
// difference of one snapshot and one live state.
package controller

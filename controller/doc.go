// Package controller keeps git and Marathon the same: it starts a watcher for each
// source and a reconciler for each sync, passes on to the schedule what people,
// Marathon's events and terms of leadership ask for, and shows what is known.
//
// What a reconciliation does is in reconcile, when one is due in schedule, and what is
// shown in status. Here are New, Run and Reload, the commands of people (commands.go,
// rollback.go), leadership (lead.go, handover.go), what is known of each Marathon
// (cluster.go, events.go, live.go), metrics, and the probe of the store.
//
// Locks: Controller.reloading before Controller.mu before those of schedule and
// reconcile.
package controller

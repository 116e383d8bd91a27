// Package scheduler decides what of a Marathon runs when. It owns the state: all
// of it changes under one lock.
//
// Requests change definitions under that lock (Scheduler.Do). One goroutine takes
// what the executor and the probes report, and drives deployments and launches:
// each round looks at what is there and does what is missing, so that a report
// which comes late or twice does no harm (loop.go, scheduler.go).
//
// Each part uses those below it and none above:
//
//	Scheduler    takes reports, keeps counts
//	Deployments  make the next root group of a write, lock, go from step to step
//	driver       carries out the actions of a step: start, stop, scale, restart
//	Health       probes tasks, ends unhealthy ones, asks for readiness
//	launcher     matches what waits with the agent's offers, builds the tasks
//	Instances    schedules and ends instances and tasks, follows their states
//	base         versions, launch queue, back-off, agent, events, runner, loop
package scheduler

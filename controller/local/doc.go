// Package local is an embedded Marathon: the same HTTP API over real local tasks.
//
// Marathon's rules are those of package manifests; running tasks is
// controller/local/executor's. What it offers, and where it knowingly differs
// from Marathon, is in docs/local.md.
//
// This package joins the parts, each of which uses those below it:
//
//	api        HTTP: endpoints, bodies, answers, the event stream
//	scheduler  what runs when: deployments, launches, health; owns the state
//	state      values: root group, run specs, plans, instances, offers
//	executor   processes and containers of this machine
package local

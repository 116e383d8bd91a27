// Package local is an embedded Marathon: the same HTTP API over real local tasks.
//
// Marathon's rules are those of package manifests; running tasks is
// controller/local/executor's. What it offers, and where it knowingly differs
// from Marathon, is in docs/local.md.
//
// The core is values: a root is one version of all definitions and never
// changes (root.go). A write fills a draft, which normalises, assigns service
// ports, compares, checks and plans the steps (draft.go); then it is locked
// against other deployments, swapped in and stored (deployments.go, data.go).
//
// What runs is instances and their tasks (instances.go). Deployments and
// launches (launch.go) are driven by one goroutine, run, whenever something was
// reported or a delay is over: each pass looks at what is there and does what
// is missing, so that a report which comes late or twice does no harm. Probes
// of health run beside it and report to it (health.go).
//
// The HTTP side is thin: one file a resource (apps.go, groups.go, pods.go,
// other.go), bodies and answers in http.go, body.go and errors.go.
package local

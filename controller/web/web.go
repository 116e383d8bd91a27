// Package web serves Pacer's page, its JSON API, health and metrics over HTTP.
//
// It shows and asks; what is done is the controller's.
package web

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/origin"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
)

// Options is what the pages are made of.
type Options struct {
	Status func() status.Status
	// Diff tells what differs in a sync, or in some ids of it.
	Diff    func(ctx context.Context, sync string, ids []string) (plan.Plan, error)
	Trigger func(sync string, by store.Asked) error // controller.ErrNoSync answers 404
	// What people may ask of a sync beside; each returns when it is saved.
	// controller.ErrConflict answers 409.
	Suspend  func(ctx context.Context, sync string, by store.Asked) error
	Resume   func(ctx context.Context, sync string, by store.Asked) error
	Approve  func(ctx context.Context, sync string, ids []string, revision string, by store.Asked) error
	Rollback func(ctx context.Context, sync string, to controller.Rollback, by store.Asked) (store.Pin, error)
	Release  func(ctx context.Context, sync string, by store.Asked) error
	// Leader tells which replica leads, which does the actions that others are
	// asked for, where its address can be trusted; nil: there is one replica.
	Leader func(context.Context) (leader.Replica, error)
	// Address is the URL of this replica, as Leader would tell it.
	Address string
	// Abdicate hands over to another replica; nil: there is one replica.
	Abdicate func(context.Context) error

	Webhooks Webhooks
	// Pull is the plan of a pull request of a source; nil: no source has a forge.
	// report.ErrNoPull and controller.ErrNoSource answer 404.
	Pull func(ctx context.Context, source string, number int) (report.PullPlan, error)

	Tokens  Tokens              // zero: everybody who reaches the page may see and act
	Hosts   origin.Names        // further names by which what no token guards may be asked
	Metrics prometheus.Gatherer // nil: /metrics answers 404
	Log     *slog.Logger        // nil: nothing is logged
	Version string              // of Pacer
}

// Route is one address that Pacer serves. Routes lists them all; docs/api.md
// describes each.
type Route struct {
	Method string // GET serves HEAD too
	Path   string // in the notation of http.ServeMux
	Doc    string // one line for people
	Open   bool   // it needs no token
	Action bool   // it changes something, and each is logged
	Signed bool   // who calls proves itself by a signature
	Body   int64  // bytes that a body may have; 0: maxBodyBytes
	serve  func(*site) http.Handler
}

// Routes returns every route, in the order of the documentation.
func Routes() []Route {
	return []Route{
		{Method: "GET", Path: "/{$}", Doc: "the page: syncs, apps, problems and history", serve: (*site).page},
		{Method: "GET", Path: "/assets/{file}", Doc: "the page's style, script and icon", Open: true, serve: (*site).assets},
		{Method: "GET", Path: "/api/v1/status", Doc: "everything that the page shows, as JSON", serve: (*site).status},
		{Method: "GET", Path: "/api/v1/syncs/{name}/diff", Doc: "the differences between git and Marathon, field by field", serve: (*site).diff},
		{Method: "GET", Path: "/pulls/{source}/{number}", Doc: "the plan of a pull request, whole", serve: (*site).pullPage},
		{Method: "GET", Path: "/api/v1/sources/{source}/pulls/{number}", Doc: "the same as JSON", serve: (*site).pull},
		{Method: "POST", Path: "/api/v1/syncs/{name}/sync", Doc: "fetch the source of a sync now, and reconcile it", Action: true, serve: (*site).sync},
		{Method: "POST", Path: "/api/v1/syncs/{name}/suspend", Doc: "suspend a sync until it is resumed", Action: true, serve: (*site).suspend},
		{Method: "POST", Path: "/api/v1/syncs/{name}/resume", Doc: "resume a sync that is suspended, or only reports because its state was lost, and reconcile it", Action: true, serve: (*site).resume},
		{Method: "POST", Path: "/api/v1/syncs/{name}/approve", Doc: "approve changes that are blocked until they are approved", Action: true, serve: (*site).approve},
		{Method: "POST", Path: "/api/v1/syncs/{name}/rollback", Doc: "roll a sync back to an earlier revision, or release it", Action: true, serve: (*site).rollback},
		{Method: "POST", Path: "/webhooks/{source}", Doc: "fetch a git source now: for the webhooks of forges, which authenticate by a signature", Open: true, Signed: true, Body: maxWebhookBytes, serve: (*site).webhook},
		{Method: "POST", Path: "/api/v1/leader/abdicate", Doc: "hand leadership over to the next candidate", Action: true, serve: (*site).abdicate},
		{Method: "POST", Path: "/leader/abdicate", Doc: "the same", Action: true, serve: (*site).abdicate},
		{Method: "GET", Path: "/healthz", Doc: "200 while the process serves", Open: true, serve: (*site).healthz},
		{Method: "GET", Path: "/readyz", Doc: "200 when Pacer works, else 503 with a line for each cause", Open: true, serve: (*site).readyz},
		{Method: "GET", Path: "/metrics", Doc: "metrics in the Prometheus text format", serve: (*site).metrics},
	}
}

type site struct {
	Options
	renderer   *renderer
	hooks      limits                 // of signed webhooks
	unsigned   failures               // of all others
	tokensTold atomic.Pointer[string] // why tokens could not be read when readiness was asked for last
}

// New returns the handler of every route.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &site{Options: o, renderer: newRenderer(o.Version)}
	mux := http.NewServeMux()
	for _, r := range Routes() {
		mux.Handle(r.Method+" "+r.Path, capBody(cmp.Or(r.Body, maxBodyBytes), s.fromAPage(r, s.login(r, r.serve(s)))))
	}
	return guard(mux)
}

// fromAPage keeps out the pages of other sites that a person has open:
//
//	route          by its own name (Host)   of our own page (Origin)
//	open           not asked                not asked
//	seeing         asked without Read       asked, but links may lead here
//	acting         asked without tokens     asked
//
// A token is what a page of another name does not have: a browser keeps it for
// the name that it was given to.
func (s *site) fromAPage(r Route, next http.Handler) http.Handler {
	if r.Open {
		return next
	}
	if !s.Tokens.guard(r.Action) {
		next = s.Hosts.Require("use an address, or a name in web.hosts, or set web.tokens", next)
	}
	return origin.SameOrigin(origin.Links(!r.Action), next)
}

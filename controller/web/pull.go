package web

import (
	"bytes"
	"context"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/report"
	"github.com/pacer-gitops/pacer/visible"
)

// This file serves the whole plans of pull requests, of which comments show a part.

// errNoForge answers where no source has a forge.
var errNoForge = errors.New("no source has a forge with credentials: see sources.NAME.git.forge")

// pull answers the plan of a pull request as JSON.
func (s *site) pull() http.Handler {
	return s.ofPull(func(w http.ResponseWriter, p report.PullPlan, code int, err error) {
		if err != nil {
			s.writeJSON(w, code, answer{err.Error()})
			return
		}
		s.writeJSON(w, code, p)
	})
}

// pullPage shows it.
func (s *site) pullPage() http.Handler {
	return s.ofPull(func(w http.ResponseWriter, p report.PullPlan, code int, err error) {
		var body bytes.Buffer
		if e := s.renderer.renderPull(&body, p, err); e != nil {
			s.Log.Error("cannot render the page of a pull request", "error", e)
			http.Error(w, "cannot render the page; see the log", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(code)
		s.write(w, []byte(visible.Text(body.String())))
	})
}

// ofPull finds the plan that a route names. Only the leader plans, so others ask it.
func (s *site) ofPull(show func(w http.ResponseWriter, p report.PullPlan, code int, err error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if target := s.leaderToo(r); target != nil {
			s.passOn(target).ServeHTTP(w, r)
			return
		}
		number, err := strconv.Atoi(r.PathValue("number"))
		switch {
		case err != nil || number < 1:
			show(w, report.PullPlan{}, http.StatusBadRequest, errors.New("expected the number of a pull request"))
			return
		case s.Pull == nil:
			show(w, report.PullPlan{}, http.StatusNotFound, errNoForge)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
		defer cancel()
		p, err := s.Pull(ctx, r.PathValue("source"), number)
		code := http.StatusOK
		switch {
		case errors.Is(err, report.ErrNoPull), errors.Is(err, controller.ErrNoSource):
			code = http.StatusNotFound
		case err != nil:
			code = http.StatusServiceUnavailable
		}
		show(w, p, code, err)
	})
}

// pullView is what the page of a pull request shows.
type pullView struct {
	report.PullPlan
	Error   string
	Version string
	Plans   []pullPart
}

// pullPart is the plan for one sync.
type pullPart struct {
	Sync, Verdict, Error string
	Text                 string // as pacer plan prints it
}

func (r *renderer) renderPull(body *bytes.Buffer, p report.PullPlan, err error) error {
	v := pullView{PullPlan: p, Version: r.version}
	if err != nil {
		v.Error = err.Error()
	}
	for _, y := range p.Syncs {
		part := pullPart{Sync: y.Sync, Error: y.Error}
		if y.Plan != nil {
			var text strings.Builder
			if err := plan.Write(&text, *y.Plan, "text"); err != nil {
				return err
			}
			part.Verdict, part.Text = plan.Verdict(*y.Plan), text.String()
		}
		v.Plans = append(v.Plans, part)
	}
	return r.pull.Execute(body, v)
}

func parsePull(funcs template.FuncMap) *template.Template {
	return template.Must(template.New("pull.html").Funcs(funcs).ParseFS(embedded, "assets/pull.html"))
}

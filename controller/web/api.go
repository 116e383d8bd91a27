package web

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/visible"
)

// answer is the JSON body of an action and of an error of the API.
type answer struct {
	Message string `json:"message"`
}

func (s *site) status() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.writeJSON(w, http.StatusOK, s.Status())
	})
}

// diff answers a plan in the format that is asked for, as pacer plan prints it.
func (s *site) diff() http.Handler {
	kinds := map[string]string{
		"json": "application/json", "yaml": "application/yaml", "text": "text/plain; charset=utf-8", "markdown": "text/markdown; charset=utf-8",
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, format := r.PathValue("name"), cmp.Or(r.URL.Query().Get("format"), "json")
		if kinds[format] == "" {
			s.writeJSON(w, http.StatusBadRequest, answer{fmt.Sprintf("format %q: expected one of %s", format, strings.Join(plan.Formats(), ", "))})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
		defer cancel()
		p, err := s.Diff(ctx, name, r.URL.Query()["id"])
		var body bytes.Buffer
		if err == nil {
			err = plan.Write(&body, p, format)
		}
		if err != nil {
			s.writeJSON(w, codeOf(err), answer{err.Error()})
			return
		}
		w.Header().Set("Content-Type", kinds[format])
		s.write(w, body.Bytes())
	})
}

func (s *site) healthz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.writeText(w, http.StatusOK, "ok\n")
	})
}

// readyz tells anybody whether Pacer is ready, as the probes of load balancers ask
// by any name, and the causes, which name syncs, only who may see those.
func (s *site) readyz() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		why, tokens := s.Status().NotReady(), s.Tokens.unreadable()
		if s.tellUnreadable(tokens); tokens != nil {
			why = append(why, strings.Split(tokens.Error(), "\n")...)
		}
		if len(why) > 0 {
			if s.Tokens.guard(false) || !s.Hosts.Accept(r) {
				why = nil
			}
			s.writeText(w, http.StatusServiceUnavailable, strings.Join(append([]string{"not ready"}, why...), "\n")+"\n")
			return
		}
		s.writeText(w, http.StatusOK, "ready\n")
	})
}

func (s *site) metrics() http.Handler {
	if s.Metrics == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 30 * time.Second})
}

func (s *site) writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.Log.Error("cannot write an answer as JSON", "error", err)
		http.Error(w, "cannot write the answer as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	s.write(w, append(visible.JSON(body), '\n'))
}

func (s *site) writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	s.write(w, []byte(visible.Text(text)))
}

// write sends a body. A caller that went away is not worth a warning.
func (s *site) write(w http.ResponseWriter, body []byte) {
	if _, err := w.Write(body); err != nil {
		s.Log.Debug("a client did not read its answer", "error", err)
	}
}

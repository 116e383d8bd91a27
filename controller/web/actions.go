package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller"
)

// actionTimeout is how long an action may take to be saved.
const actionTimeout = 30 * time.Second

// approval is the body of an approve: JSON, or a form with the same names.
type approval struct {
	IDs      []string `json:"ids"`
	Revision string   `json:"revision"`
}

// sync pokes the controller.
func (s *site) sync() http.Handler {
	return s.action("sync", http.StatusAccepted, "a pass of %s will begin", func(_ context.Context, name string, _ approval) error {
		return s.Trigger(name)
	})
}

func (s *site) suspend() http.Handler {
	return s.action("suspend", http.StatusOK, "%s is suspended: nothing is changed until it is resumed", func(ctx context.Context, name string, _ approval) error {
		return s.Suspend(ctx, name)
	})
}

func (s *site) resume() http.Handler {
	return s.action("resume", http.StatusOK, "%s is resumed", func(ctx context.Context, name string, _ approval) error {
		return s.Resume(ctx, name)
	})
}

func (s *site) approve() http.Handler {
	return s.action("approve", http.StatusOK, "approved in %s", func(ctx context.Context, name string, a approval) error {
		return s.Approve(ctx, name, a.IDs, a.Revision)
	})
}

// action serves one that is asked of a sync, and leaves a line in the log of who
// asked for what and what came of it. A browser's form is sent back to the
// page, any other caller gets JSON.
func (s *site) action(verb string, code int, said string, do func(context.Context, string, approval) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		a, err := readApproval(r)
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
			defer cancel()
			err = do(ctx, name, a)
		}
		s.Log.Info("action asked for over HTTP", "action", verb, "sync", name, "ids", a.IDs, "revision", a.Revision, "remote", r.RemoteAddr, "error", err)
		switch {
		case err != nil:
			s.writeJSON(w, codeOf(err), answer{sentence(err, name)})
		case strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/", http.StatusSeeOther)
		default:
			s.writeJSON(w, code, answer{fmt.Sprintf(said, name)})
		}
	})
}

// errBody is a body that cannot be used.
var errBody = errors.New("the body cannot be used")

// readApproval reads the body, which may be empty.
func readApproval(r *http.Request) (a approval, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return a, err // too large, or cut off
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/x-www-form-urlencoded" {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		if err := r.ParseForm(); err != nil {
			return a, fmt.Errorf("%w: %w", errBody, err)
		}
		return approval{IDs: r.PostForm["ids"], Revision: r.PostForm.Get("revision")}, nil
	}
	if len(body) == 0 {
		return a, nil
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return a, fmt.Errorf("%w: want nothing, or JSON such as {\"ids\": [\"/shop/cart\"], \"revision\": \"3f9c2a7\"}: %w", errBody, err)
	}
	return a, nil
}

func codeOf(err error) int {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, errBody):
		return http.StatusBadRequest
	case errors.Is(err, controller.ErrNoSync):
		return http.StatusNotFound
	case errors.Is(err, controller.ErrConflict):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

func sentence(err error, name string) string {
	if errors.Is(err, controller.ErrNoSync) {
		return fmt.Sprintf("no sync is named %q", name)
	}
	return err.Error()
}

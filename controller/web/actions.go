package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/visible"
)

// actionTimeout is how long an action may take to be saved.
const actionTimeout = 30 * time.Second

// wish is the body of an action: JSON, or a form with the same names. Each
// action reads what it knows.
type wish struct {
	IDs      []string `json:"ids"`      // approve
	Revision string   `json:"revision"` // approve, rollback
	Back     int      `json:"back"`     // rollback
	Release  bool     `json:"release"`  // rollback
	Reason   string   `json:"reason"`   // of any, for the status and the history
}

// sync pokes the controller.
func (s *site) sync() http.Handler {
	return s.action("sync", http.StatusAccepted, func(_ context.Context, name string, _ wish, by store.Asked) (string, error) {
		return name + " will be fetched and reconciled" + s.pinned(name), s.Trigger(name, by)
	})
}

// pinned says of a sync that is rolled back what it goes by whatever its source
// says, to who may expect that it follows.
func (s *site) pinned(name string) string {
	for _, y := range s.Status().Syncs {
		if y.Name == name && y.RolledBack != nil {
			return "; it is rolled back to " + plan.ShortRevision(y.RolledBack.ID) + " until it is released"
		}
	}
	return ""
}

func (s *site) suspend() http.Handler {
	return s.action("suspend", http.StatusOK, func(ctx context.Context, name string, _ wish, by store.Asked) (string, error) {
		return name + " is suspended: nothing is changed until it is resumed", s.Suspend(ctx, name, by)
	})
}

func (s *site) resume() http.Handler {
	return s.action("resume", http.StatusOK, func(ctx context.Context, name string, _ wish, by store.Asked) (string, error) {
		return name + " is resumed" + s.pinned(name), s.Resume(ctx, name, by)
	})
}

func (s *site) approve() http.Handler {
	return s.action("approve", http.StatusOK, func(ctx context.Context, name string, w wish, by store.Asked) (string, error) {
		return "approved in " + name, s.Approve(ctx, name, w.IDs, w.Revision, by)
	})
}

func (s *site) rollback() http.Handler {
	return s.action("rollback", http.StatusOK, func(ctx context.Context, name string, w wish, by store.Asked) (string, error) {
		if w.Release {
			if w.Revision != "" || w.Back != 0 {
				return "", fmt.Errorf("%w: release is mutually exclusive with revision and back", errBody)
			}
			return name + " is released: it follows its source again", s.Release(ctx, name, by)
		}
		if w.Back < 0 || w.Back > 0 && w.Revision != "" {
			return "", fmt.Errorf("%w: expected a revision, or a number of revisions back", errBody)
		}
		pin, err := s.Rollback(ctx, name, controller.Rollback{Revision: w.Revision, Back: w.Back}, by)
		return fmt.Sprintf("%s is rolled back to %s, and stays there until it is released", name, strings.TrimSpace(plan.ShortRevision(pin.ID)+" "+pin.Subject)), err
	})
}

// maxReason is how many bytes of a reason are kept.
const maxReason = 500

// action serves one that is asked of a sync, and leaves a line in the log of who
// asked for what and what came of it. A browser's form is sent back to the
// page, any other caller gets JSON.
func (s *site) action(verb string, code int, do func(context.Context, string, wish, store.Asked) (said string, err error)) http.Handler {
	return s.atLeader(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, said := r.PathValue("name"), ""
		wanted, err := readWish(r)
		by := s.asker(r, verb)
		if by.Reason = wanted.Reason; len(by.Reason) > maxReason {
			err = errors.Join(err, fmt.Errorf("%w: the reason has more than %d bytes", errBody, maxReason))
		}
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), actionTimeout)
			defer cancel()
			said, err = do(ctx, name, wanted, by)
		}
		s.Log.Info("action requested over HTTP", "action", verb, "sync", name, "ids", wanted.IDs, "revision", wanted.Revision,
			"back", wanted.Back, "release", wanted.Release, "reason", wanted.Reason,
			"user", by.User, "via", by.Via, "token", by.Token, "remote", r.RemoteAddr, "error", err)
		switch {
		case err != nil:
			s.writeJSON(w, codeOf(err), answer{err.Error()})
		case strings.Contains(r.Header.Get("Accept"), "text/html"):
			http.Redirect(w, r, "/", http.StatusSeeOther)
		default:
			s.writeJSON(w, code, answer{said})
		}
	}))
}

// asker is who asks, as far as it is known: the token is proved, the name that
// stands beside it is not.
func (s *site) asker(r *http.Request, verb string) store.Asked {
	by := store.Asked{By: store.AskedByPerson, Verb: verb, Token: s.Tokens.name(given(r)), Via: viaOf(r), Address: addressOf(r)}
	user, _, _ := r.BasicAuth()
	by.User = visible.Cut(cmp.Or(user, r.Header.Get(userHeader)), maxUser)
	return by
}

// What a caller says of itself beside its credential. Neither is proved, and none
// is a secret.
const (
	userHeader = "Pacer-User" // who it is
	viaHeader  = "Pacer-Via"  // by what it asks: one of those below
)

// By what a person may ask.
const (
	viaPage        = "page"
	viaCommandLine = "command line"
	viaAPI         = "API"
)

// viaOf is by what a request was made: as it says, or as browsers do.
func viaOf(r *http.Request) string {
	switch via := r.Header.Get(viaHeader); {
	case via == viaCommandLine || via == viaPage:
		return via
	case r.Header.Get("Sec-Fetch-Site") != "" || r.Header.Get("Origin") != "":
		return viaPage
	}
	return viaAPI
}

// addressOf is where a request came from: the caller, or a proxy, or another
// replica.
func addressOf(r *http.Request) string {
	address, _, _ := net.SplitHostPort(r.RemoteAddr)
	return cmp.Or(address, r.RemoteAddr)
}

// maxUser is how many bytes of a user's name are kept.
const maxUser = 100

// errBody is a body that cannot be used.
var errBody = errors.New("invalid body")

// readWish reads the body, which may be empty.
func readWish(r *http.Request) (a wish, err error) {
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
		return wishOf(r.PostForm)
	}
	if len(body) == 0 {
		return a, nil
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil {
		return a, fmt.Errorf("%w: expected nothing, or JSON such as {\"ids\": [\"/shop/cart\"], \"revision\": \"3f9c2a7\"}: %w", errBody, err)
	}
	return a, nil
}

// wishOf reads a form.
func wishOf(form url.Values) (w wish, err error) {
	w = wish{IDs: form["ids"], Revision: form.Get("revision"), Reason: form.Get("reason"), Release: form.Get("release") == "true"}
	if back := form.Get("back"); back != "" {
		if w.Back, err = strconv.Atoi(back); err != nil {
			return w, fmt.Errorf("%w: back: %w", errBody, err)
		}
	}
	return w, nil
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

package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pacer-gitops/pacer/secret"
)

// Tokens are what callers must prove themselves with, as a bearer token or, for
// browsers, as the password of basic authentication with any user. Each is read
// anew for every request, so that a changed one holds at once.
type Tokens struct {
	// Read lets see; nil: everybody may.
	Read secret.Ref
	// Act lets see and act; nil: whoever may see may act.
	Act secret.Ref
}

func (t Tokens) any() bool { return t.Read.IsSet() || t.Act.IsSet() }

// guard tells whether a token is needed to act, or to see.
func (t Tokens) guard(act bool) bool { return t.Read.IsSet() || act && t.Act.IsSet() }

// login lets through who may use a route, and asks all others for a token.
func (s *site) login(r Route, next http.Handler) http.Handler {
	if r.Open || !s.Tokens.any() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch ok, err := s.Tokens.allow(r.Action, given(req)); {
		case err != nil: // unknown is not empty: nobody is let in
			s.Log.Error(unreadableTokens, "error", err)
			s.writeJSON(w, http.StatusServiceUnavailable, answer{"cannot read the tokens; see the log"})
		case !ok:
			level := slog.LevelDebug
			if given(req) != "" || r.Action {
				level = slog.LevelWarn
			}
			s.Log.Log(req.Context(), level, "refused: token missing or invalid", "method", req.Method, "path", req.URL.Path, "remote", req.RemoteAddr)
			if s.Tokens.name(given(req)) != "" { // who it is is proved, and another login is no help
				s.writeJSON(w, http.StatusForbidden, answer{"this token is for reading (web.tokens.read), and this is an action: give the token of web.tokens.act (command line: --token-file, or PACER_TOKEN)"})
				return
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="Pacer: any user, a token as password", charset="UTF-8"`)
			s.writeJSON(w, http.StatusUnauthorized, answer{"unauthorized: send a token, as Authorization: Bearer …"})
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// allow decides by the token that a caller gave:
//
//	asks to   tokens        let through
//	see       no Read       everybody
//	see       Read          Read or Act
//	act       Act           Act
//	act       Read alone    Read
func (t Tokens) allow(act bool, token string) (bool, error) {
	if !act && !t.Read.IsSet() {
		return true, nil
	}
	ok := false
	for _, accepted := range t.named() {
		if accepted.name == "read" && act && t.Act.IsSet() {
			continue
		}
		want, err := accepted.value()
		if err != nil {
			return false, err
		}
		ok = same(token, want) || ok
	}
	return ok, nil
}

// namedToken is a token that is configured.
type namedToken struct {
	name string // as in web.tokens
	ref  secret.Ref
}

// value reads the token anew.
func (t namedToken) value() (string, error) {
	v, err := t.ref.Read()
	if err != nil {
		return "", fmt.Errorf("web.tokens.%s cannot be read: %w", t.name, err)
	}
	return v, nil
}

// named lists the tokens that are configured.
func (t Tokens) named() (all []namedToken) {
	for _, n := range []namedToken{{"act", t.Act}, {"read", t.Read}} {
		if n.ref.IsSet() {
			all = append(all, n)
		}
	}
	return all
}

// unreadable is why tokens cannot be read now: while one cannot, nobody is let in by
// it. Nil: all can.
func (t Tokens) unreadable() error {
	var errs []error
	for _, n := range t.named() {
		_, err := n.value()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// name tells which of the tokens one is: "act", "read", or nothing where it is
// neither or cannot be told.
func (t Tokens) name(token string) string {
	for _, known := range t.named() {
		if want, err := known.value(); err == nil && same(token, want) {
			return known.name
		}
	}
	return ""
}

// same compares in constant time; nothing is no token.
func same(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && want != ""
}

// given is the token that a request came with.
func given(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

const unreadableTokens = "cannot read a token of the page, so access is denied"

// tellUnreadable logs that tokens cannot be read, once for each cause; nil: they can.
func (s *site) tellUnreadable(err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if before := s.tokensTold.Swap(&now); (before == nil || *before != now) && err != nil {
		s.Log.Error(unreadableTokens, "error", err)
	}
}

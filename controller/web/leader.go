package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/pacer-gitops/pacer/controller/leader"
	"github.com/pacer-gitops/pacer/controller/reset"
)

// forwarded marks a request that another replica has passed on: it is not passed
// on again.
const forwarded = "Pacer-Forwarded"

// follows tells whether another replica leads, or none.
func (s *site) follows() bool {
	l := s.Status().Leader
	return l != nil && !l.Leading
}

// atLeader has an action done by the leader: here, or by passing the request on
// to it, with the caller's credential where its address is proved. The caller was
// let in here already, and is asked again there.
func (s *site) atLeader(next http.Handler) http.Handler {
	if s.Leader == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.follows() {
			next.ServeHTTP(w, r)
			return
		}
		// What a browser sends by itself counts as well.
		target, err := s.leaderOf(r, r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "")
		if err != nil {
			s.Log.Warn("cannot forward an action to the leader", "path", r.URL.Path, "remote", r.RemoteAddr, "error", err)
			s.writeJSON(w, http.StatusServiceUnavailable, answer{err.Error()})
			return
		}
		s.Log.Info("action forwarded to the leader", "path", r.URL.Path, "remote", r.RemoteAddr, "leader", target.url.String())
		s.passOn(target).ServeHTTP(w, r)
		if name := r.PathValue("name"); name != "" {
			_ = s.Trigger(name, s.asker(r, "sync")) // what comes of it is seen here soon, too
		}
	})
}

// leaderToo is where the leader is, for what is done here and there; nil: it is
// this replica, or none that could be asked. A webhook has a secret in it, or a
// signature that would be believed again.
func (s *site) leaderToo(r *http.Request) *destination {
	if s.Leader == nil || !s.follows() {
		return nil
	}
	target, err := s.leaderOf(r, true)
	if err != nil {
		s.Log.Info("not forwarded to the leader, which polls by itself", "path", r.URL.Path, "error", err)
		return nil
	}
	return target
}

// destination is a replica that a request is passed on to.
type destination struct {
	url    *url.URL
	proved bool
}

// leaderOf is where the leader is, or why it cannot be asked:
//
//	trust in its address   a request with a secret   without
//	Proved                 passed on                 passed on
//	Unprovable             not                       passed on, bare
//	Unproved               not                       not
//
// Unprovable is an ensemble of this machine's own, or one that was opened on
// purpose; an address that could be proved and is not is somebody's else.
func (s *site) leaderOf(r *http.Request, secret bool) (*destination, error) {
	if r.Header.Get(forwarded) != "" {
		return nil, errors.New("the leader has just changed: try again")
	}
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	who, err := s.Leader(ctx)
	if err != nil {
		return nil, fmt.Errorf("there is no leader at the moment: try again: %w", err)
	}
	target, err := url.Parse(who.Address)
	switch {
	case err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" || target.User != nil:
		return nil, fmt.Errorf("the leader announces %q as its address, which is not a URL: check its advertise", who.Address)
	case who.Address == s.Address:
		return nil, errors.New("this replica is about to become the leader: try again")
	case who.Trust == leader.Unproved:
		return nil, fmt.Errorf("this replica is a follower and does not forward to %q: zookeeper.auth does not authenticate the leader's node in ZooKeeper (it belongs to another client, an older Pacer, or one with another password): send the request there, if you know that address is a Pacer", who.Address)
	case who.Trust != leader.Proved && secret:
		return nil, fmt.Errorf("this replica is a follower and sends no token to %q: without zookeeper.auth that address is not authenticated: send the request there, if you know that address is a Pacer", who.Address)
	}
	return &destination{url: target, proved: who.Trust == leader.Proved}, nil
}

// passOn sends a request to another replica, and its answer back. Redirects are
// not followed.
func (s *site) passOn(target *destination) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target.url)
			if !target.proved { // nothing but the request
				r.Out.Header = http.Header{"Content-Type": r.In.Header["Content-Type"], "Accept": r.In.Header["Accept"], userHeader: r.In.Header[userHeader]}
			}
			r.Out.Header.Set(forwarded, "1")
			r.Out.Header.Set(viaHeader, viaOf(r.In)) // which follows from what is taken out below
			// It was looked at here whether it comes from our own page; there the page is another one.
			r.Out.Header.Del("Origin")
			for name := range r.Out.Header {
				if strings.HasPrefix(name, "Sec-Fetch-") {
					r.Out.Header.Del(name)
				}
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			for name := range resp.Header { // our own are set already
				if name != "Content-Type" && name != "Content-Length" && name != "Location" && name != "Www-Authenticate" {
					resp.Header.Del(name)
				}
			}
			return nil
		},
		Transport: toLeader,
		ErrorLog:  slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			s.Log.Warn("the leader does not answer", "leader", target.url.String(), "error", err)
			s.writeJSON(w, http.StatusServiceUnavailable, answer{fmt.Sprintf("the leader at %s does not answer, and it is unknown whether it carried out the action: check the status, and try again", target.url)})
		},
	}
}

// toLeader keeps no connections: actions are rare, and leaders change. An action
// that is given up is dropped, and does not come later.
var toLeader = &http.Transport{
	DialContext:       reset.OnClose(new(net.Dialer).DialContext),
	DisableKeepAlives: true, ResponseHeaderTimeout: actionTimeout + 5*time.Second, TLSHandshakeTimeout: 5 * time.Second,
}

// abdicate hands over to another replica.
func (s *site) abdicate() http.Handler {
	return s.atLeader(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, said := http.StatusAccepted, "leadership is handed over to the next candidate"
		if s.Abdicate == nil {
			code, said = http.StatusConflict, "there is only one replica: configure zookeeper for more"
		} else if err := s.Abdicate(r.Context()); err != nil {
			code, said = http.StatusServiceUnavailable, err.Error()
			if errors.Is(err, leader.ErrNoLease) {
				said = "this replica is no longer the leader: try again"
			}
		}
		s.Log.Info("action requested over HTTP", "action", "abdicate", "remote", r.RemoteAddr, "answer", said)
		s.writeJSON(w, code, answer{said})
	}))
}

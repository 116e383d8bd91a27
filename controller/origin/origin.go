// Package origin decides whether a request to a server of Pacer may come from
// whom it seems to come from: by which name it was sent (Host), and by a page of
// which site (Origin, Sec-Fetch-Site). It guards servers that ask for no token
// against web pages that a person of this machine or network has open.
//
// It proves nobody: tokens are controller/web's.
package origin

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Names are the host names, without port, by which a server may be asked in
// addition to those that cannot be anybody else's.
type Names []string

// CheckName returns an error where a name could not be the host of a request.
func CheckName(name string) error {
	if name == "" || strings.ContainsAny(name, "/@?#[] \t\r\n*,") || strings.Contains(name, ":") && !isIP(name) {
		return fmt.Errorf("host %q: expected a host name or an IP address, without scheme and port", name)
	}
	return nil
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// Accept reports whether a request was sent by a name that is accepted. A page
// whose owner makes its name mean this machine (DNS rebinding) is of the same
// origin for the browser; only its name, which the browser sends along, gives it
// away, and any name that the owner of another network can give out is such a
// name, one without a dot as well.
//
//	Host                                     accepted
//	127.0.0.0/8, [::1], localhost            yes
//	one of the names                         yes
//	the IP address that the request came to  yes: an IP address is no name that could mean another
//	any other IP address                     no
//	any other name, or none                  no
//
// The port is not compared: a browser sends the one that it connects to.
func (n Names) Accept(r *http.Request) bool {
	host := hostOf(r.Host)
	if strings.EqualFold(host, "localhost") || slices.ContainsFunc(n, func(name string) bool { return strings.EqualFold(name, host) }) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.Unmap().IsLoopback() {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return local != nil && local.AddrPort().Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
}

// hostOf is the host of an address with or without a port, without brackets.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return strings.Trim(address, "[]")
}

// Loopback reports whether only this machine reaches an address to listen at or
// to connect to, with or without a port. A name other than localhost may mean
// anything.
func Loopback(address string) bool {
	host := hostOf(address)
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Require answers requests by a name that is not accepted with 421; remedy is what
// a person can do about it.
func (n Names) Require(remedy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !n.Accept(r) {
			refuse(w, http.StatusMisdirectedRequest, "refused: the Host of the request is not a name of this server, and a page of another site could have chosen it: "+remedy)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Links says what a link on a page of another site may lead to.
type Links bool

// What links may lead to.
const (
	NoLinks Links = false // nothing
	ToRead  Links = true  // what is only read: the page with the link sees nothing of the answer
)

// SameOrigin answers requests of pages of other sites with 403, whatever they ask
// for. Another port of the same machine is another site.
//
//	the request                                          let through
//	Sec-Fetch-Site: same-origin, or none (a person)      yes
//	Sec-Fetch-Site: anything else                        no
//	without; Origin of the same host and port            yes
//	without; any other Origin, null as well              no
//	neither (a program, or an old browser's GET)         yes
//	a GET or HEAD by which a browser opens a page        yes, with ToRead
func SameOrigin(links Links, next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asWrite := *r // or reads would not be looked at
		asWrite.Method = http.MethodPost
		if err := protection.Check(&asWrite); err != nil && !(links == ToRead && opens(r)) {
			refuse(w, http.StatusForbidden, "refused: a web page of another site sent this request (see its Origin or Sec-Fetch-Site)")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// opens reports whether a browser shows the answer to a request as a page of its
// own, and not within another.
func opens(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && r.Header.Get("Origin") == "" &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

// refuse answers as both Marathon and Pacer's API tell an error.
func refuse(w http.ResponseWriter, code int, why string) {
	body, _ := json.Marshal(map[string]string{"message": why}) // strings can be written
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // a client that has gone needs no answer
}

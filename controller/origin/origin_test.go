package origin

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

var served = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })

// answer is what a request with some headers gets; in pairs.
func answer(t *testing.T, h http.Handler, r *http.Request, header ...string) int {
	t.Helper()
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var said struct{ Message string }
	if w.Code != http.StatusCreated && (json.Unmarshal(w.Body.Bytes(), &said) != nil || !strings.HasPrefix(said.Message, "refused: ")) {
		t.Errorf("%d says %q", w.Code, w.Body)
	}
	return w.Code
}

func TestNames(t *testing.T) {
	for host, at := range map[string]struct {
		local    string // where the request came in
		accepted bool
	}{
		"127.0.0.1:8080": {"127.0.0.1:8080", true}, "127.9.9.9": {"127.0.0.1:8080", true}, "[::1]:8080": {"[::1]:8080", true}, "[::1]": {"[::1]:8080", true},
		"[::ffff:127.0.0.1]:8080": {"127.0.0.1:8080", true},
		"localhost:8080":          {"127.0.0.1:8080", true}, "LOCALHOST": {"127.0.0.1:8080", true},
		"Box.example:1": {"10.0.0.7:8080", true}, "box.example": {"127.0.0.1:8080", true}, "192.0.2.9:31000": {"172.17.0.2:9090", true},
		"10.0.0.7:8080": {"10.0.0.7:8080", true}, "10.0.0.7": {"[::ffff:10.0.0.7]:8080", true}, "[2001:db8::7]:1": {"[2001:db8::7]:8080", true},

		"kiosk:8080": {"127.0.0.1:8080", false}, "marathon": {"127.0.0.1:8080", false}, "evil.example:8080": {"127.0.0.1:8080", false},
		"localhost.evil.example": {"127.0.0.1:8080", false}, "a.localhost:8080": {"127.0.0.1:8080", false}, "localhost.:8080": {"127.0.0.1:8080", false},
		"127.0.0.1.evil.example": {"127.0.0.1:8080", false}, "127.1:8080": {"127.0.0.1:8080", false}, "2130706433": {"127.0.0.1:8080", false},
		"0.0.0.0:8080": {"127.0.0.1:8080", false}, "[::]:8080": {"[::1]:8080", false}, "10.0.0.8:8080": {"10.0.0.7:8080", false},
		"a.box.example": {"10.0.0.7:8080", false}, "box.example.evil": {"10.0.0.7:8080", false}, "": {"127.0.0.1:8080", false}, ":8080": {"127.0.0.1:8080", false},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = host
		local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at.local))
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		code := answer(t, Names{"box.example", "192.0.2.9"}.Require("do that", served), r)
		if want := map[bool]int{true: 201, false: 421}[at.accepted]; code != want {
			t.Errorf("Host %q at %s: %d, want %d", host, at.local, code, want)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	const site, origin, mode, dest = "Sec-Fetch-Site", "Origin", "Sec-Fetch-Mode", "Sec-Fetch-Dest"
	link := func(more ...string) []string {
		return append([]string{site, "cross-site", mode, "navigate", dest, "document"}, more...)
	}
	for name, test := range map[string]struct {
		method string
		header []string
		strict int // with NoLinks
		links  int // with ToRead
	}{
		"a program":                     {"POST", nil, 201, 201},
		"a program reads":               {"GET", nil, 201, 201},
		"the page itself":               {"POST", []string{site, "same-origin", origin, "http://127.0.0.1:8080"}, 201, 201},
		"the page, an old browser":      {"POST", []string{origin, "http://127.0.0.1:8080"}, 201, 201},
		"a person types the address":    {"GET", []string{site, "none"}, 201, 201},
		"behind a proxy with TLS":       {"POST", []string{site, "same-origin", origin, "https://pacer.example"}, 201, 201},
		"another site":                  {"POST", []string{site, "cross-site", origin, "https://evil.example"}, 403, 403},
		"another site, an old browser":  {"POST", []string{origin, "https://evil.example"}, 403, 403},
		"another port":                  {"PUT", []string{site, "same-site"}, 403, 403},
		"another port, an old browser":  {"DELETE", []string{origin, "http://127.0.0.1:8081"}, 403, 403},
		"no origin":                     {"POST", []string{origin, "null"}, 403, 403},
		"a word that is not known":      {"POST", []string{site, "near"}, 403, 403},
		"a question before a request":   {"OPTIONS", []string{origin, "https://evil.example"}, 403, 403},
		"another site reads":            {"GET", []string{site, "cross-site", mode, "no-cors", dest, "image"}, 403, 403},
		"another site reads, old":       {"GET", []string{origin, "https://evil.example"}, 403, 403},
		"a frame of another site":       {"GET", []string{site, "cross-site", mode, "navigate", dest, "iframe"}, 403, 403},
		"a link of another site":        {"GET", link(), 403, 201},
		"a form of another site":        {"POST", link(origin, "https://evil.example"), 403, 403},
		"a form without origin":         {"POST", link(), 403, 403},
		"a link, and an origin with it": {"GET", link(origin, "null"), 403, 403},
	} {
		for links, want := range map[Links]int{NoLinks: test.strict, ToRead: test.links} {
			r := httptest.NewRequest(test.method, "http://127.0.0.1:8080/v2/apps", nil)
			if code := answer(t, SameOrigin(links, served), r, test.header...); code != want {
				t.Errorf("%s, links %v: %d, want %d", name, links, code, want)
			}
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:1": true, "[::1]:8080": true, "localhost:0": true, "localhost": true, "::1": true, "127.0.0.1": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:8080": false, "10.0.0.1:8080": false, "example.com:80": false, "localhost.evil.example:1": false, "": false, "127.1:1": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"kiosk": true, "pacer.example.com": true, "10.0.0.7": true, "2001:db8::7": true,
		"": false, "http://kiosk": false, "kiosk:8080": false, "*.example.com": false, "a b": false, "[::1]": false, "a,b": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A page that somebody has open in a browser of this machine must not be able
// to start a command, whatever it sends: no rule of the browser's stands before
// a POST without a Content-Type.
func TestPagesOfOthersAreKeptOut(t *testing.T) {
	served := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	for name, tt := range map[string]struct {
		method, host, origin, site string
		exposed                    bool
		want                       int
	}{
		"a program":                    {method: "POST", host: "127.0.0.1:8080", want: 201},
		"a program, by a short name":   {method: "POST", host: "marathon:8080", want: 201},
		"a program, by IPv6":           {method: "POST", host: "[::1]:8080", want: 201},
		"our own page":                 {method: "POST", host: "localhost:8080", origin: "http://localhost:8080", want: 201},
		"a page of others writes":      {method: "POST", host: "127.0.0.1:8080", origin: "https://evil.example", want: 403},
		"an old browser's":             {method: "DELETE", host: "127.0.0.1:8080", origin: "null", want: 403},
		"a new browser's":              {method: "PUT", host: "127.0.0.1:8080", site: "cross-site", want: 403},
		"a name made to mean loopback": {method: "POST", host: "evil.example:8080", origin: "http://evil.example:8080", want: 421},
		"reading by such a name":       {method: "GET", host: "evil.example:8080", want: 421},
		"exposed, by its name":         {method: "POST", host: "box.example:8080", exposed: true, want: 201},
		"exposed, a page of others":    {method: "POST", host: "box.example:8080", origin: "https://evil.example", exposed: true, want: 403},
	} {
		r := httptest.NewRequest(tt.method, "http://"+tt.host+"/v2/apps", strings.NewReader("{}"))
		for header, value := range map[string]string{"Origin": tt.origin, "Sec-Fetch-Site": tt.site} {
			if value != "" {
				r.Header.Set(header, value)
			}
		}
		w := httptest.NewRecorder()
		keepPagesOut(localOptions{exposed: tt.exposed}, served).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d: %s", name, w.Code, tt.want, w.Body)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:1": true, "[::1]:8080": true, "localhost:0": true,
		"0.0.0.0:8080": false, ":8080": false, "[::]:8080": false, "10.0.0.1:8080": false, "example.com:80": false, "localhost.evil.example:1": false,
	} {
		if got := loopback(address); got != want {
			t.Errorf("%s: %v, want %v", address, got, want)
		}
	}
}

package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/pacer-gitops/pacer/secret"
)

// rest asks an API of JSON that has no kept client library.
type rest struct {
	http *http.Client
	base string // without a slash at its end
}

// do sends a value, unless it is nil, to a path below base, and decodes the answer. A
// whole URL, as an answer names that of its next page, has to be below base, too: the
// token is sent along.
func (r *rest) do(ctx context.Context, method, path string, send, into any) (http.Header, error) {
	at := path
	if strings.HasPrefix(path, "/") {
		at = r.base + path
	} else if !strings.HasPrefix(path, r.base+"/") {
		return nil, errors.New("answer names a next page at another address, where the token must not be sent")
	}
	var body bytes.Buffer
	if send != nil {
		if err := json.NewEncoder(&body).Encode(send); err != nil {
			return nil, err
		}
	}
	q, err := http.NewRequestWithContext(ctx, method, at, &body)
	if err != nil {
		return nil, err
	}
	q.Header.Set("Accept", "application/json")
	if send != nil {
		q.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.http.Do(q)
	if err != nil {
		return nil, plain(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	empty := into == nil
	if empty {
		into = new(any) // the page of a proxy is no answer, either
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil && !(empty && errors.Is(err, io.EOF)) {
		return nil, fmt.Errorf("%s %s: answer is no JSON as expected: %w", method, q.URL.Path, err)
	}
	return resp.Header, nil
}

// apiURL is the address of an API: what is given, without what is added to it below and
// without a slash at its end.
func apiURL(given, below string) (string, error) {
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("forge.url must be an http or https URL, without a user and a query, such as https://git.example.com")
	}
	return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(given, "/"), below), "/"), nil
}

// bearerOf gives a request the token as it is now.
func bearerOf(o Options) func(*http.Request) ([]string, error) {
	return func(r *http.Request) ([]string, error) {
		token, err := o.Token.Read()
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		return []string{token}, nil
	}
}

// basicOrBearerOf is bearerOf, where a token of the form USER:PASSWORD is sent as such.
func basicOrBearerOf(o Options) func(*http.Request) ([]string, error) {
	bearer := bearerOf(o)
	return func(r *http.Request) ([]string, error) {
		secrets, err := bearer(r)
		if err != nil {
			return nil, err
		}
		user, password, ok := strings.Cut(secrets[0], ":")
		if !ok {
			return secrets, nil
		}
		r.SetBasicAuth(user, password)
		_, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		return append(secrets, password, encoded), nil
	}
}

// owner knows whose a token is, which is asked once for each token.
type owner struct {
	token secret.Ref

	mu    sync.Mutex
	asked string // the token
	id    string
}

func (w *owner) ask(who func() (string, error)) (string, error) {
	token, err := w.token.Read()
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	w.mu.Lock()
	asked, id := w.asked, w.id
	w.mu.Unlock()
	if asked == token && id != "" {
		return id, nil
	}
	id, err = who()
	if err == nil && id == "" {
		err = errors.New("answer names no user")
	}
	if err != nil {
		return "", fmt.Errorf("ask whose the token is: %w", err)
	}
	w.mu.Lock()
	w.asked, w.id = token, id
	w.mu.Unlock()
	return id, nil
}

// escapedPath is the path of a file as a part of a URL.
func escapedPath(file string) string {
	u := url.URL{Path: "/" + file}
	return strings.TrimPrefix(u.EscapedPath(), "/")
}

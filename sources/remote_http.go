package sources

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"

	"github.com/pacer-gitops/pacer/clienttls"
)

// maxAdvertBytes bounds what a server may say before any limit of a source
// applies: its list of refs, or the text of an error.
const maxAdvertBytes = 64 << 20

// httpSession closes its connections at its end: a look every half minute
// gains nothing from keeping them, and nothing outlives its owner.
type httpSession struct {
	transport.UploadPackSession
	transport *boundedTransport
}

// AdvertisedReferencesContext gives back thin-pack where the server offers it,
// which go-git takes out of the list, as its Remote does not read such packs.
func (s *httpSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	adv, err := s.UploadPackSession.AdvertisedReferencesContext(ctx)
	if s.transport.opening == nil {
		return adv, err
	}
	if unreadable := readableAdvert(s.transport.opening.text); unreadable != nil {
		return nil, unreadable
	}
	if list := capabilities(s.transport.opening.text); err == nil && list != nil && list.Supports(capability.ThinPack) {
		err = adv.Capabilities.Set(capability.ThinPack)
	}
	return adv, err
}

// UploadPack returns when the pack begins.
func (s *httpSession) UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error) {
	response, err := s.UploadPackSession.UploadPack(ctx, req)
	before := s.transport.preamble
	if before == nil {
		return response, err
	}
	before.ended = true
	if before.left <= 0 {
		return nil, errPreamble // go-git keeps the text of it alone
	}
	return response, err
}

func (s *httpSession) Close() error {
	err := s.UploadPackSession.Close()
	s.transport.next.CloseIdleConnections()
	return err
}

func dialHTTP(u *url.URL, a Auth) (remote, []string, error) {
	name := u.Redacted()
	credentials, secrets, err := httpCredentials(a)
	var s *httpSession
	if err == nil {
		s, err = newHTTPSession(u, a, credentials)
	}
	if err != nil {
		return nil, secrets, fmt.Errorf("%s: %w", name, err)
	}
	return &packRemote{session: s, tell: func(err error) error { return describeHTTP(name, err) }}, secrets, nil
}

func newHTTPSession(u *url.URL, a Auth, credentials transport.AuthMethod) (*httpSession, error) {
	tr, err := httpTransport(a)
	if err != nil {
		return nil, err
	}
	endpoint, err := transport.NewEndpoint(u.String())
	if err != nil {
		return nil, err
	}
	bounded := &boundedTransport{next: tr}
	client := githttp.NewClient(&http.Client{Transport: bounded, CheckRedirect: sameHost})
	s, err := client.NewUploadPackSession(endpoint, credentials)
	return &httpSession{s, bounded}, err
}

// httpCredentials returns a nil interface where none are given.
func httpCredentials(a Auth) (transport.AuthMethod, []string, error) {
	if !a.Password.IsSet() {
		return nil, nil, nil
	}
	password, err := a.Password.Read()
	if err != nil {
		return nil, nil, fmt.Errorf("auth: password: %w", err)
	}
	if a.Bearer {
		return &githttp.TokenAuth{Token: password}, []string{password}, nil
	}
	username := cmp.Or(a.Username, "git")
	return &githttp.BasicAuth{Username: username, Password: password}, []string{password}, nil
}

func httpTransport(a Auth) (*http.Transport, error) {
	config, err := clienttls.Files{CAFile: a.CAFile, Insecure: a.InsecureSkipVerify}.Config()
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: 30 * time.Second,
		ForceAttemptHTTP2:   true,
	}, nil
}

// sameHost follows redirects within the host and the scheme alone. Elsewhere
// credentials must not go, and without them the answer of another host is
// nothing that anybody asked to be deployed.
func sameHost(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	if req.URL.Scheme == from.Scheme && req.URL.Host == from.Host {
		return nil
	}
	to := url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path}
	return fmt.Errorf("%w: from %s://%s to %s: if that is correct, set it as the source's URL",
		ErrRedirect, from.Scheme, from.Host, to.String())
}

// boundedTransport keeps a server from filling memory: answers that are not
// packs are read whole.
type boundedTransport struct {
	next *http.Transport
	// opening is how the last of such answers begins.
	opening *beginning
	// preamble is what comes before a pack.
	preamble *preamble
}

func (b *boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if req.Method == http.MethodGet || res.StatusCode != http.StatusOK {
		limit := int64(maxAdvertBytes)
		if res.StatusCode != http.StatusOK {
			limit = 64 << 10
		}
		b.opening = newBeginning()
		res.Body = &boundedBody{Reader: io.TeeReader(io.LimitReader(res.Body, limit), b.opening), Closer: res.Body}
		return res, nil
	}
	b.preamble = newPreamble(res.Body)
	res.Body = &boundedBody{Reader: b.preamble, Closer: res.Body}
	return res, nil
}

type boundedBody struct {
	io.Reader
	io.Closer
}

func describeHTTP(name string, err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case strings.Contains(err.Error(), "http redirect: "): // go-git's own refusals, which have no kind
		return fmt.Errorf("%w: %s: if the target is correct, set it as the source's URL: %w", ErrRedirect, name, err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%s: its certificate is signed by an unknown authority: set the CA's certificate (auth.caFile, or --git-ca-file): %w", name, err)
	case errors.As(err, &host), errors.As(err, &invalid):
		return fmt.Errorf("%s: its certificate is not valid for it: check the URL and the server's certificate: %w", name, err)
	}
	return describeAny(name, err)
}

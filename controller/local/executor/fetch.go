package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// fetcher brings artifacts into sandboxes.
type fetcher struct {
	client *http.Client
	limit  int64 // bytes of one artifact, before and after extraction
}

func newFetcher(limit int64) fetcher {
	// A transport of its own, so that Close can end its connections.
	return fetcher{&http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second,
		ResponseHeaderTimeout: time.Minute, TLSHandshakeTimeout: 10 * time.Second,
	}}, limit}
}

// all brings a task's artifacts into its sandbox.
func (f fetcher) all(t *task) error {
	if len(t.Fetch) == 0 {
		return nil
	}
	// All writing goes through a root: no name and no symlink leads out of it.
	root, err := os.OpenRoot(t.sandbox)
	if err != nil {
		return fmt.Errorf("failed to open the sandbox: %w", err)
	}
	defer root.Close()
	for _, artifact := range t.Fetch {
		if err := f.fetch(t.killed, root, artifact); err != nil {
			return fmt.Errorf("failed to fetch '%s': %w", withoutSecrets(artifact.URI), err)
		}
	}
	return nil
}

// withoutSecrets leaves out of a URI what may be a password or a token.
func withoutSecrets(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return "a malformed URI"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

func (f fetcher) fetch(ctx context.Context, root *os.Root, what Fetch) error {
	u, err := url.Parse(what.URI)
	if err != nil {
		return errors.New("it is not a URI") // the parser's words repeat it with its secrets
	}
	name, err := destination(what, u)
	if err != nil {
		return err
	}
	content, err := f.open(ctx, u)
	if err != nil {
		return err
	}
	defer content.Close()
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if what.Executable {
		mode = 0o755
	}
	if err := f.store(root, name, content, mode); err != nil {
		return err
	}
	// As Mesos: what is executable is not extracted, and what is extracted comes
	// beside the archive's top folder, the sandbox.
	if what.Executable || !what.Extract {
		return nil
	}
	return f.extract(ctx, root, name)
}

// destination is the artifact's name in the sandbox.
func destination(f Fetch, u *url.URL) (string, error) {
	if f.DestPath != "" {
		if !filepath.IsLocal(f.DestPath) || filepath.Clean(f.DestPath) == "." {
			return "", fmt.Errorf("its destPath '%s' leads out of the sandbox", f.DestPath)
		}
		return filepath.Clean(f.DestPath), nil
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || name == ".." {
		return "", errors.New("it names no file: give a destPath")
	}
	if name == "stdout" || name == "stderr" {
		return "", fmt.Errorf("the sandbox has a file %s already: give a destPath", name)
	}
	return name, nil
}

// open opens an artifact where it comes from.
func (f fetcher) open(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	switch {
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"), u.Scheme == "" && path.IsAbs(u.Path):
		return openFile(u.Path)
	case u.Scheme == "http", u.Scheme == "https":
		return f.get(ctx, u)
	case u.Scheme == "":
		return nil, errors.New("it is neither a URI nor an absolute path")
	}
	return nil, fmt.Errorf("scheme '%s' is not supported: http, https and file are", u.Scheme)
}

func openFile(name string) (io.ReadCloser, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return os.Open(name)
}

func (f fetcher) get(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("it is not a URI that can be asked for")
	}
	// As it is, not as a transport would unpack it: a .gz is what was asked for.
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := f.client.Do(req)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // its words repeat the URI
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	return resp.Body, nil
}

// store writes a file of the sandbox, within the limit.
func (f fetcher) store(root *os.Root, name string, content io.Reader, mode os.FileMode) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	n, err := io.Copy(file, io.LimitReader(content, f.limit+1))
	if err == nil && n > f.limit {
		err = errTooLarge(f.limit)
	}
	if err == nil {
		err = file.Chmod(mode) // whatever the umask, and if it was there before
	}
	return errors.Join(err, file.Close())
}

func errTooLarge(limit int64) error {
	return fmt.Errorf("it has more than %d bytes, the limit for one artifact", limit)
}

// withoutSuffix is name without the first suffix that it has.
func withoutSuffix(name string, suffixes ...string) (string, bool) {
	for _, s := range suffixes {
		if base, ok := strings.CutSuffix(name, s); ok && path.Base(base) != "" {
			return base, true
		}
	}
	return name, false
}

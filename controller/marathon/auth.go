package marathon

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// Secret gives the present value of a secret. It is called for each request, so
// that a rotated one is used at once.
type Secret func() (string, error)

// String hides what is secret.
func (s Secret) String() string { return "(secret)" }

// SecretFile reads a secret from a file, less surrounding white space.
func SecretFile(path string) Secret {
	return func() (string, error) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("secret: %w", err)
		}
		if b = bytes.TrimSpace(b); len(b) == 0 {
			return "", fmt.Errorf("secret: file %s is empty: write the secret to it", path)
		}
		return string(b), nil
	}
}

// SecretEnv reads a secret from an environment variable.
func SecretEnv(name string) Secret {
	return func() (string, error) {
		v := os.Getenv(name)
		if v == "" {
			return "", fmt.Errorf("secret: environment variable %s is not set", name)
		}
		return v, nil
	}
}

// SecretValue is a secret that is known already.
func SecretValue(v string) Secret { return func() (string, error) { return v, nil } }

// Auth is how Marathon is told who asks. The zero value tells nothing.
type Auth struct {
	User     string // with Password: HTTP basic authentication
	Password Secret
	Bearer   Secret // Authorization: Bearer …
	Token    Secret // Authorization: token=…, as DC/OS wants it
}

func (a Auth) check() error {
	ways := 0
	for _, given := range []bool{a.User != "" || a.Password != nil, a.Bearer != nil, a.Token != nil} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("marathon auth: user and password, bearer, and token are mutually exclusive: keep one")
	case (a.User == "") != (a.Password == nil):
		return errors.New("marathon auth: user and password must be set together")
	}
	return nil
}

// set adds the credentials to a request.
func (a Auth) set(r *http.Request) error {
	secret, prefix := a.Password, ""
	switch {
	case a.Bearer != nil:
		secret, prefix = a.Bearer, "Bearer "
	case a.Token != nil:
		secret, prefix = a.Token, "token="
	case a.Password == nil:
		return nil
	}
	v, err := secret()
	if err != nil {
		return fmt.Errorf("marathon auth: %w", err)
	}
	if strings.ContainsAny(v, "\r\n") {
		return errors.New("marathon auth: the secret contains a line break and cannot be sent in a header")
	}
	if prefix == "" {
		r.SetBasicAuth(a.User, v)
		return nil
	}
	r.Header.Set("Authorization", prefix+v)
	return nil
}

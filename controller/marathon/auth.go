package marathon

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pacer-gitops/pacer/secret"
)

// Auth is how Marathon is told who asks. The zero value tells nothing.
type Auth struct {
	User     string // with Password: HTTP basic authentication
	Password secret.Ref
	Bearer   secret.Ref // Authorization: Bearer …
	Token    secret.Ref // Authorization: token=…, as DC/OS wants it
}

func (a Auth) check() error {
	ways := 0
	for _, given := range []bool{a.User != "" || a.Password.IsSet(), a.Bearer.IsSet(), a.Token.IsSet()} {
		if given {
			ways++
		}
	}
	switch {
	case ways > 1:
		return errors.New("marathon auth: user and password, bearer, and token are mutually exclusive: keep one")
	case (a.User == "") == a.Password.IsSet():
		return errors.New("marathon auth: user and password must be set together")
	}
	return nil
}

// set adds the credentials to a request.
func (a Auth) set(r *http.Request) error {
	ref, prefix := a.Password, ""
	switch {
	case a.Bearer.IsSet():
		ref, prefix = a.Bearer, "Bearer "
	case a.Token.IsSet():
		ref, prefix = a.Token, "token="
	case !a.Password.IsSet():
		return nil
	}
	v, err := ref.Read()
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

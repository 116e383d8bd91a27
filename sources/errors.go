package sources

import (
	"errors"

	"github.com/pacer-gitops/pacer/sources/gitpack"
	"github.com/pacer-gitops/pacer/visible"
)

// What can be wrong with a source, to be told apart by errors.Is. The error
// around each says where it happened and what to do.
var (
	// ErrEmpty: the repository is there and holds no branch and no tag.
	ErrEmpty = errors.New("the repository is empty")
	// ErrNoRef: the branch, tag, commit or version that is asked for is not, or
	// no longer, in the repository.
	ErrNoRef = errors.New("not in the repository")
	// ErrNotFound: there is no such repository or directory, or the credentials
	// may not see it.
	ErrNotFound = errors.New("not found")
	// ErrAuth: the server refused the credentials, or wants some.
	ErrAuth = errors.New("authentication failed")
	// ErrHostKey: an ssh server could not prove that it is the one in known_hosts.
	ErrHostKey = errors.New("host key not trusted")
	// ErrRedirect: the server sent us to another host or scheme.
	ErrRedirect = errors.New("redirect refused")
	// ErrLimit: something is larger than Limits allow.
	ErrLimit = gitpack.ErrLimit
	// ErrInUse: another process, or another Git of this one, holds the local clone.
	ErrInUse = errors.New("in use")
	// ErrClosed: the source was closed.
	ErrClosed = errors.New("the source is closed")
	// ErrRefused: the entry is there and is not read; see RefusedEntry.
	ErrRefused = errors.New("refused")
)

// errUnfit: what came onto a generation does not make it whole. The repository
// is then fetched whole instead.
var errUnfit = gitpack.ErrUnfit

// scrubbed is an error whose text held a secret. Its kind can still be asked.
type scrubbed struct {
	text  string
	cause error
}

func (s *scrubbed) Error() string        { return s.text }
func (s *scrubbed) Is(target error) bool { return errors.Is(s.cause, target) }

// maxError is how many bytes of an error are shown: servers say what they like.
const maxError = 2000

// leastSecret is how many bytes a credential has that is hidden.
const leastSecret = 4

// scrub hides secrets in an error's text, as servers can echo what they were sent,
// and makes it one line of a bounded length that can be printed.
func scrub(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := visible.Hide(visible.Cut(text, 8*maxError), secrets, leastSecret)
	clean = visible.Words(visible.Cut(clean, maxError))
	if clean == text {
		return err
	}
	return &scrubbed{text: clean, cause: err}
}

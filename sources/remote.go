package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// remote is one conversation with a repository: a look, then at most one fetch.
type remote interface {
	look(ctx context.Context) (*advert, error)
	// fetch hands the pack of what is wanted to write, which may be a thin one
	// where commits are here.
	fetch(ctx context.Context, want request, write func(io.Reader) error) (answer, error)
	// describe makes of an error one that says what to do.
	describe(err error) error
	close() error
}

// request is what to fetch.
type request struct {
	wants   []plumbing.Hash
	haves   []plumbing.Hash // commits that are here whole
	shallow []plumbing.Hash // of those, the ones whose parents are not here
	history bool            // with all ancestors; else the wanted commits alone
	limits  Limits
}

// answer is what comes beside a pack.
type answer struct {
	shallow []plumbing.Hash // commits whose parents were left out
	partial bool            // files were left out that are too large to be read
}

// dial begins a conversation. Secrets are read now, each time anew, and
// returned so that they can be kept out of errors.
func dial(ctx context.Context, u *url.URL, a Auth) (r remote, secrets []string, err error) {
	switch u.Scheme {
	case schemeSSH:
		return dialSSH(ctx, u, a)
	case schemeFile:
		r, err = openLocal(u.Path)
		return r, nil, err
	}
	return dialHTTP(u, a)
}

// session is what the git protocol needs of a transport.
type session interface {
	AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error)
	UploadPack(context.Context, *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	Close() error
}

// packRemote speaks the git protocol over a session.
//
// It drives the protocol itself rather than through go-git's Remote, which
// keeps transports in one table of the whole process (so that one source's
// trust would be every source's), sends no filter, and gives the pack to the
// indexer before its size could be checked.
type packRemote struct {
	session session
	advert  *packp.AdvRefs
	tell    func(error) error
}

func (r *packRemote) describe(err error) error { return r.tell(err) }
func (r *packRemote) close() error             { return r.session.Close() }

func (r *packRemote) look(ctx context.Context) (*advert, error) {
	adv, err := r.session.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, err
	}
	r.advert = adv
	a := &advert{refs: adv.References, byHash: adv.Capabilities.Supports(capability.AllowReachableSHA1InWant)}
	refs, err := adv.AllReferences()
	if err != nil {
		return nil, fmt.Errorf("read the server's refs: %w", err)
	}
	if head, found := refs[plumbing.HEAD]; found && head.Type() == plumbing.SymbolicReference {
		a.head = head.Target().String()
	}
	return a, nil
}

func (r *packRemote) fetch(ctx context.Context, want request, write func(io.Reader) error) (answer, error) {
	req, err := r.uploadRequest(want)
	if err != nil {
		return answer{}, err
	}
	response, err := r.session.UploadPack(ctx, req)
	if err != nil {
		return answer{}, err
	}
	defer response.Close() //nolint:errcheck // all that is needed was read, or the error is told below
	var pack io.Reader = response
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, response)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, response)
	}
	return answer{shallow: response.Shallows, partial: req.Filter != ""}, write(pack)
}

func (r *packRemote) uploadRequest(want request) (*packp.UploadPackRequest, error) {
	offered := r.advert.Capabilities
	req := packp.NewUploadPackRequestFromCapabilities(offered)
	req.Wants, req.Haves = want.wants, want.haves
	var errs []error
	set := func(c capability.Capability) {
		if offered.Supports(c) {
			errs = append(errs, req.Capabilities.Set(c))
		}
	}
	if len(want.haves) == 0 {
		req.Capabilities.Delete(capability.ThinPack) // else taken over from what is offered
	}
	set(capability.NoProgress)
	if offered.Supports(capability.Shallow) {
		set(capability.Shallow)
		req.Shallows = want.shallow
		if !want.history {
			req.Depth = packp.DepthCommits(1)
		}
	}
	if offered.Supports(capability.Filter) {
		set(capability.Filter)
		req.Filter = blobFilter(want.limits)
	}
	return req, errors.Join(errs...)
}

// blobFilter leaves files that would be refused on the server.
func blobFilter(l Limits) packp.Filter {
	return packp.FilterBlobLimit(uint64(l.FileBytes)+1, packp.BlobLimitPrefixNone)
}

// describeAny makes the sentence for what every transport can meet.
func describeAny(name string, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time: check that it is up and can be reached, or allow more time: %w", name, err)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%s: %w: it has no branch and no tag", name, ErrEmpty)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%s: the repository was %w: check the URL, and that the credentials may read it", name, ErrNotFound)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return fmt.Errorf("%w for %s: check the source's auth: the server wants a user and a password or token, or refused those given", ErrAuth, name)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return fmt.Errorf("%w for %s: the server knows the credentials and forbids them to read this repository", ErrAuth, name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

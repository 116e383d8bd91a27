package sources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
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
	// past is fetch for the commits and folders behind the wanted one; or it returns
	// what opens them, where they are on this machine.
	past(ctx context.Context, want request, write func(io.Reader) error) (opener, error)
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
	behind  int             // more than 0: so many of them, without files where the server can
	limits  Limits
	stall   time.Duration // how long a server may send nothing in the middle of a pack
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
	// UploadPack returns when the pack begins. What comes before it is bounded.
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

func (r *packRemote) past(ctx context.Context, want request, write func(io.Reader) error) (opener, error) {
	_, err := r.fetch(ctx, want, write)
	return nil, err
}

func (r *packRemote) fetch(ctx context.Context, want request, write func(io.Reader) error) (answer, error) {
	req, err := r.uploadRequest(want)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	response, err := r.session.UploadPack(ctx, req)
	if err != nil {
		return answer{}, err
	}
	defer response.Close() //nolint:errcheck // all that is needed was read, or the error is told below
	// Below the sideband: what a server sends to show that it is still there counts.
	var pack io.Reader = newStallReader(response, want.stall, func(err error) {
		cancel(err)
		_ = r.session.Close() // which ends a read that knows no context
	})
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, pack)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, pack)
	}
	err = write(pack)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // else it is told as a connection that broke
	}
	return answer{shallow: response.Shallows, partial: req.Filter != ""}, err
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
			req.Depth = packp.DepthCommits(max(1, want.behind))
		}
	}
	if offered.Supports(capability.Filter) {
		set(capability.Filter)
		if req.Filter = blobFilter(want.limits); want.behind > 0 {
			req.Filter = packp.FilterBlobNone()
		}
	}
	return req, errors.Join(errs...)
}

// blobFilter leaves files that would be refused on the server.
func blobFilter(l Limits) packp.Filter {
	return packp.FilterBlobLimit(uint64(l.FileBytes)+1, packp.BlobLimitPrefixNone)
}

// maxStall is how long a server may send nothing in the middle of a pack. Git's own
// sends something every five seconds, also while it computes. Before a pack begins
// others say nothing for as long as they compute, for which GitOptions.Timeout is.
const maxStall = 30 * time.Second

// errStalled: a server hangs in the middle of a pack.
var errStalled = errors.New("in the middle of a pack")

// stallReader gives a conversation up in which nothing comes.
type stallReader struct {
	next  io.Reader
	after time.Duration
	timer *time.Timer
	read  atomic.Int64
}

func newStallReader(next io.Reader, after time.Duration, giveUp func(error)) *stallReader {
	r := &stallReader{next: next, after: after}
	r.timer = time.AfterFunc(after, func() {
		giveUp(fmt.Errorf("the git server sent nothing for %s %w, after %d bytes: fetch cancelled: check the server and the network", after, errStalled, r.read.Load()))
	})
	r.timer.Stop()
	return r
}

// Read waits for at most as long as nothing may come, once something has.
func (r *stallReader) Read(p []byte) (int, error) {
	if r.read.Load() > 0 {
		r.timer.Reset(r.after)
		defer r.timer.Stop()
	}
	n, err := r.next.Read(p)
	r.read.Add(int64(n))
	return n, err
}

// preamble bounds what a server sends before a pack: the commits whose parents it
// leaves out, which are kept in memory.
type preamble struct {
	io.Reader
	left  int64
	ended bool // the pack has begun, which has limits of its own
}

// maxPreamble is 70,000 commits.
const maxPreamble = 4 << 20

var errPreamble = fmt.Errorf("%w: the server sends more than %d bytes before the pack", ErrLimit, maxPreamble)

func newPreamble(r io.Reader) *preamble { return &preamble{Reader: r, left: maxPreamble} }

func (b *preamble) Read(p []byte) (int, error) {
	if b.ended {
		return b.Reader.Read(p)
	}
	if b.left <= 0 {
		return 0, errPreamble
	}
	n, err := b.Reader.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// capabilities are those that a server's list of refs begins with, after the NUL in
// the first line with a ref, which is the first or comes after the name of the
// service. Nil: there are none.
func capabilities(opening []byte) *capability.List {
	lines := pktline.NewScanner(bytes.NewReader(opening))
	for lines.Scan() {
		if _, after, found := bytes.Cut(lines.Bytes(), []byte{0}); found {
			list := capability.NewList()
			if list.Decode(bytes.TrimSpace(after)) != nil {
				return nil
			}
			return list
		}
	}
	return nil
}

// readableAdvert refuses a repository whose objects are not named by SHA-1, which
// go-git takes for a list that is malformed.
func readableAdvert(opening []byte) error {
	list := capabilities(opening)
	if list == nil {
		return nil
	}
	for _, format := range list.Get("object-format") {
		if err := readableObjects(format, "object-format="+shown(format)+", according to the server"); err != nil {
			return err
		}
	}
	return nil
}

// beginning keeps the first bytes of what is written.
type beginning struct {
	room int
	text []byte
}

// newBeginning has room for the first line with a ref.
func newBeginning() *beginning { return &beginning{room: 2 * pktline.OversizePayloadMax} }

func (b *beginning) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), b.room-len(b.text))]...)
	return len(p), nil
}

// describeAny makes the sentence for what every transport can meet.
func describeAny(name string, err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer in time: check that it is running and reachable, or allow more time: %w", name, err)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%s: %w: it has no branch and no tag", name, ErrEmpty)
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%s: the repository was %w: check the URL, and that the credentials may read it", name, ErrNotFound)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return fmt.Errorf("%w for %s: check the source's auth (username and password, or --git-username and --git-password): the server requires a user and a password or token, or refused the given ones", ErrAuth, name)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return fmt.Errorf("%w for %s: the server accepts the credentials, but does not permit them to read this repository", ErrAuth, name)
	}
	return fmt.Errorf("%s: %w", name, err)
}

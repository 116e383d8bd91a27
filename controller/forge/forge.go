// Package forge asks the servers that host git repositories (GitHub, GitLab, Gitea and
// Forgejo, Bitbucket) about pull requests, and writes comments and commit statuses there.
// A Forge is one repository at one of them; each type of forge is a file.
//
// It decides nothing: what is said, when, and what is tried again after an error is
// controller/report's. It fetches no commit: that is package sources'.
package forge

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Forge is one repository at a forge. Its methods may be called from several goroutines.
// Each makes a bounded number of requests, of bounded size, and none tries again: an
// error says whether and when that helps (RateLimitError, ErrNotFound, ErrDenied).
// No error contains a token.
type Forge interface {
	// String is the repository's address for people, without secrets.
	String() string
	// Check asks for all rights that Pacer needs, and tells of each that the token
	// lacks: a sentence for people that names the right as the forge's settings do.
	// An error: they cannot be found out.
	Check(ctx context.Context) (lacking []string, err error)

	// Pulls lists the open pull requests, newest change first, at most MaxPulls; more
	// says that there are others. MergeBase may be left empty, see Pull.
	Pulls(ctx context.Context) (pulls []Pull, more bool, err error)
	// Pull reads one pull request, open or not, with all that the forge knows of it.
	Pull(ctx context.Context, number int) (Pull, error)
	// MergedSince lists the pull requests that were merged since a time, at most MaxPulls.
	MergedSince(ctx context.Context, since time.Time) ([]Pull, error)
	// RemoveLabel takes a label off a pull request. One that is not there is no error.
	RemoveLabel(ctx context.Context, number int, label string) error

	// FindComment returns the oldest comment of a pull request that this token's user
	// has written and that contains a marker; nil: there is none.
	FindComment(ctx context.Context, number int, marker string) (*Comment, error)
	// CreateComment writes a comment, in Markdown.
	CreateComment(ctx context.Context, number int, body string) (Comment, error)
	// EditComment replaces the text of a comment. ErrNotFound: somebody deleted it.
	EditComment(ctx context.Context, number int, id, body string) error

	// Statuses returns the newest status of each context of a commit.
	Statuses(ctx context.Context, commit string) ([]Status, error)
	// SetStatus sets the status of one context of a commit. Text that is longer than the
	// forge takes is cut.
	SetStatus(ctx context.Context, commit string, s Status) error

	// Annotate shows annotations at their lines of a pull request's head, in place of
	// those that name (such as pacer/shop) had there before. Where the forge has no
	// such thing it does nothing and returns false: the comment lists them.
	Annotate(ctx context.Context, p Pull, name string, all []Annotation) (shown bool, err error)

	// FileURL is the page that shows a line of a file in a pull request's diff; line 0:
	// the file. Empty: the forge has no such page.
	FileURL(p Pull, file string, line int) string
	// MaxComment is how many bytes a comment may have.
	MaxComment() int
}

// MaxPulls bounds how many pull requests one answer has.
const MaxPulls = 500

// Pull is a pull request, which GitLab calls a merge request.
type Pull struct {
	Number int
	Title  string
	Body   string
	Author string
	URL    string // its page
	State  PullState
	Draft  bool
	Labels []string
	// Fork: its commits are in another repository, whose owner may be a stranger.
	Fork    bool
	Updated time.Time

	Base       string // the branch that it is to be merged into
	BaseCommit string // what that branch was at when the forge answered; empty: it does not say
	Head       string // the branch that is to be merged
	HeadCommit string
	// HeadRef is the ref of the repository by which HeadCommit can be fetched, such as
	// refs/pull/7/head; empty: only HeadCommit itself can be asked for.
	HeadRef string
	// MergeRef is a ref of the merge of Base and Head that the forge keeps; empty: it
	// keeps none. It may lag behind: only its parents tell what it is of.
	MergeRef string
	// MergeBase is the newest commit that Base and Head share; empty: not known here.
	MergeBase string
	// Conflicts: the forge says that it cannot be merged without resolving conflicts.
	Conflicts bool

	// MergedAs is the commit of Base that brought its changes, of one that is merged;
	// MergedAt when that was.
	MergedAs string
	MergedAt time.Time
}

// PullState is what became of a pull request.
type PullState string

// The states of a pull request.
const (
	PullOpen   PullState = "open"
	PullClosed PullState = "closed" // without being merged
	PullMerged PullState = "merged"
)

// Comment is a comment on a pull request.
type Comment struct {
	ID   string
	Body string
	URL  string
}

// State of a commit status.
type State string

// The states of a commit status, as GitHub and Gitea call them. A forge that has other
// words gets the nearest one.
const (
	Pending State = "pending"
	Success State = "success"
	Failure State = "failure"
	// Stopped: it will not be known, since a newer commit came first. GitLab and
	// Bitbucket have a word for it; elsewhere it is an error.
	Stopped State = "error"
)

// Status is what a commit page shows under a context, such as pacer/shop.
type Status struct {
	Context     string
	State       State
	Description string // one line
	URL         string // where it leads; empty: nowhere
}

// Annotation is a problem at a line of a file.
type Annotation struct {
	File    string
	Line    int // from 1
	Column  int // from 1; 0: the line
	Warning bool
	Message string
}

// Errors of a forge, apart from those of the network.
var (
	// ErrNotFound: what is named is not there, or this token may not see it.
	ErrNotFound = errors.New("not found")
	// ErrDenied: the token is refused, or lacks a right. Trying again does not help
	// until somebody has changed that.
	ErrDenied = errors.New("access denied")
)

// RateLimitError says that the forge wants no request before a time.
type RateLimitError struct {
	Until time.Time
	Err   error
}

func (e *RateLimitError) Error() string {
	return fmt.Sprintf("rate limit reached until %s: %v", e.Until.Format(time.RFC3339), e.Err)
}

func (e *RateLimitError) Unwrap() error { return e.Err }

package sources

import (
	"context"
	"io/fs"
	"log/slog"
	"time"
)

// Source is where manifests come from. Its methods may be called from several
// goroutines.
type Source interface {
	// Snapshot looks whether the source has moved and returns what it is at
	// now. While it has not moved the same *Snapshot comes back. An error
	// leaves the last snapshot in force: unknown is not empty.
	Snapshot(ctx context.Context) (*Snapshot, error)
	// Changed receives a value after something may have changed; a value only
	// says look again. Nil for a source that cannot tell.
	Changed() <-chan struct{}
	// String names the source for people, without secrets.
	String() string
	// Close releases what the source holds. Snapshots stay readable.
	Close() error
}

// Revision is what a source is at.
type Revision struct {
	ID      string    `json:"id"`      // a commit, or sha256:… of a directory's content
	Ref     string    `json:"ref"`     // the branch or tag that was asked for, if any
	Author  string    `json:"author"`  // of a commit
	Subject string    `json:"subject"` // first line of a commit's message
	Time    time.Time `json:"time"`    // of a commit, else of the newest file; in UTC, from 1970 to 9999
	// Parents are the commits that a commit builds on, the first of them if there
	// are very many.
	Parents []string `json:"-"`
	// Message is a commit's, its subject included, up to 16 KiB of it. Its author wrote
	// it: it is not fit to be shown as it is.
	Message string `json:"-"`
}

// Snapshot is the read-only file tree of one revision. Its directory entries
// have a method ContentID() string, equal for equal content (of a file or a
// whole folder), so that a reader can skip what it has seen.
//
// FS also has a method Refused() []RefusedEntry, as does what fs.Sub makes of
// it, then for that folder alone.
type Snapshot struct {
	Revision Revision
	FS       fs.FS
	// LastChange finds the newest commit that changed what is at a path, empty for
	// all, as git log -1 -- PATH does. Nil: the source has no history. It may ask the
	// source's server, until ctx ends; its errors wrap ErrNoHistory.
	LastChange func(ctx context.Context, path string) (Commit, error)
}

// RefusedEntry is an entry of a source that no snapshot shows. It is an alias, so
// that package manifests, which knows nothing of this one, can ask for it.
type RefusedEntry = struct {
	// Name is the path in the file system that was asked, safe to print: what
	// cannot be printed is escaped as in a Go string.
	Name string
	// Reason completes the sentence that begins with Name: "is a symlink: not read".
	Reason string
}

// Options are what a source of one type is opened with: GitOptions, DirectoryOptions.
// Which types a configuration can name is the table in config.Source.
type Options interface {
	// Open opens the source. What it cannot reach is an error of Snapshot.
	Open(Environment) (Source, error)
}

// Environment is what a program gives to a source of any type.
type Environment struct {
	// Clone is a folder for a local copy, which survives restarts; empty: a temporary
	// one, which Close removes.
	Clone string
	// State is the path of a folder that the program itself writes to, which is no
	// content of a source; empty: none.
	State string
	Log   *slog.Logger // nil: nothing is logged
}

// Open is NewGit, with what the program gives.
func (o GitOptions) Open(e Environment) (Source, error) {
	o.Dir, o.Log = e.Clone, e.Log
	return NewGit(o)
}

// Open is NewDirectory, with what the program gives.
func (o DirectoryOptions) Open(e Environment) (Source, error) {
	o.Exclude, o.Log = e.State, e.Log
	return NewDirectory(o)
}

// Package sources brings what manifests come from, git repositories and
// directories, to this machine as immutable snapshots.
//
// It knows revisions, credentials and limits. It knows nothing of Marathon or
// of what stands in the files.
//
// A snapshot holds regular files only. Symlinks, submodules and names that a
// file system or a log could misread are refused: they are not listed, cannot
// be opened, and are told by the Refused method that every Snapshot.FS has, so
// that nothing goes missing in silence. Nothing of a repository is written to
// disk outside git's own object files, and nothing of it is executed.
package sources

package executor

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// extract unpacks an archive of the sandbox into the sandbox, by the end of its
// name; of another file it does nothing, as Mesos' fetcher.
func (f fetcher) extract(ctx context.Context, root *os.Root, name string) error {
	archive, err := root.Open(name)
	if err != nil {
		return err
	}
	defer archive.Close()
	// A symlink that would lead a later entry out of the sandbox is refused by the
	// root too; unpacker refuses it by name, so that none is left there.
	u := &unpacker{root: root, left: f.limit, limit: f.limit}
	if err := u.unpack(ctx, name, archive); err != nil {
		return fmt.Errorf("failed to extract %s: %w", name, err)
	}
	return nil
}

// unpacker writes an archive's entries below root.
type unpacker struct {
	root        *os.Root
	left, limit int64 // bytes that may still be written, and at first
}

func (u *unpacker) unpack(ctx context.Context, name string, f *os.File) error {
	if _, ok := withoutSuffix(name, ".tar"); ok {
		return u.tar(f)
	}
	if _, ok := withoutSuffix(name, ".tar.gz", ".tgz"); ok {
		return u.gzip(f, u.tar)
	}
	if _, ok := withoutSuffix(name, ".tar.bz2", ".tbz2"); ok {
		return u.tar(bzip2.NewReader(f))
	}
	if _, ok := withoutSuffix(name, ".tar.xz", ".txz"); ok {
		return u.xz(ctx, f)
	}
	if plain, ok := withoutSuffix(name, ".gz"); ok {
		return u.gzip(f, func(r io.Reader) error { return u.file(path.Base(plain), r, 0o644) })
	}
	if _, ok := withoutSuffix(name, ".zip"); ok {
		return u.zip(f)
	}
	return nil
}

func (u *unpacker) gzip(r io.Reader, then func(io.Reader) error) error {
	plain, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	return then(plain)
}

// xz has no decoder in Go's library: the xz program decodes, and the entries are
// read here, under the same checks as all others.
func (u *unpacker) xz(ctx context.Context, f *os.File) error {
	program, err := exec.LookPath("xz")
	if err != nil {
		return errors.New("the program xz is missing on this machine: install it (Debian: xz-utils)")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-dc")
	var words bytes.Buffer
	cmd.Stdin, cmd.Stderr = f, &words
	plain, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = u.tar(plain)
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(plain, u.limit)) // padding after the end
	}
	if err != nil {
		cancel()
	}
	if waitErr := cmd.Wait(); waitErr != nil && words.Len() > 0 {
		return errors.New(strings.TrimSpace(words.String()))
	} else if err == nil {
		err = waitErr
	}
	return err
}

func (u *unpacker) tar(r io.Reader) error {
	for entries := tar.NewReader(r); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		mode := fs.FileMode(h.Mode).Perm()
		switch h.Typeflag {
		case tar.TypeReg:
			err = u.file(h.Name, entries, mode)
		case tar.TypeDir:
			err = u.folder(h.Name)
		case tar.TypeSymlink:
			err = u.symlink(h.Name, h.Linkname)
		case tar.TypeLink:
			err = u.link(h.Name, h.Linkname)
		case tar.TypeXGlobalHeader: // git archive's comment
		default:
			err = fmt.Errorf("entry '%s' is neither a file nor a folder nor a link", h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func (u *unpacker) zip(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// Its own guard against names that lead out is one error for all: ours says which.
	archive, err := zip.NewReader(f, info.Size())
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return err
	}
	for _, e := range archive.File {
		if err := u.zipEntry(e); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) zipEntry(e *zip.File) error {
	mode := e.Mode()
	if mode.IsDir() {
		return u.folder(e.Name)
	}
	content, err := e.Open()
	if err != nil {
		return err
	}
	defer content.Close()
	switch {
	case mode&fs.ModeSymlink != 0:
		target, err := io.ReadAll(io.LimitReader(content, 4096))
		if err != nil {
			return err
		}
		return u.symlink(e.Name, string(target))
	case !mode.IsRegular():
		return fmt.Errorf("entry '%s' is neither a file nor a folder nor a link", e.Name)
	}
	return u.file(e.Name, content, mode.Perm())
}

// local is an entry's name as a path in the sandbox.
func local(name string) (string, error) {
	if clean := filepath.Clean(name); filepath.IsLocal(clean) {
		return clean, nil
	}
	return "", fmt.Errorf("entry '%s' leads out of the sandbox", name)
}

func (u *unpacker) folder(name string) error {
	path, err := local(name)
	if err != nil {
		return err
	}
	return u.root.MkdirAll(path, 0o755)
}

// place makes way for an entry: its folder is made, and what is there is removed,
// so that no symlink is written through.
func (u *unpacker) place(name string) (string, error) {
	path, err := local(name)
	if err != nil {
		return "", err
	}
	if err := u.root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if err := u.root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return path, nil
}

func (u *unpacker) file(name string, content io.Reader, mode fs.FileMode) error {
	path, err := u.place(name)
	if err != nil {
		return err
	}
	f, err := u.root.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(content, u.left+1))
	if u.left -= n; err == nil && u.left < 0 {
		err = errTooLarge(u.limit)
	}
	if err == nil {
		err = f.Chmod(mode)
	}
	return errors.Join(err, f.Close())
}

func (u *unpacker) symlink(name, target string) error {
	path, err := u.place(name)
	if err != nil {
		return err
	}
	if filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(path), target)) {
		return fmt.Errorf("symlink '%s' leads out of the sandbox, to '%s'", name, target)
	}
	return u.root.Symlink(target, path)
}

func (u *unpacker) link(name, target string) error {
	path, err := u.place(name)
	if err != nil {
		return err
	}
	old, err := local(target)
	if err != nil {
		return err
	}
	return u.root.Link(old, path)
}

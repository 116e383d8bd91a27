package executor

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// lookUser is who a process is to run as; nil: the current user. The user of a
// container is the image's affair and is looked for there.
func lookUser(t Task) (*syscall.Credential, error) {
	if t.User == "" || t.Container != nil {
		return nil, nil
	}
	u, err := user.Lookup(t.User)
	if err != nil {
		return nil, fmt.Errorf("failed to run as user '%s': this machine has no such user (%w)", t.User, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("failed to run as user '%s': its number %q is not one", t.User, u.Uid)
	}
	if int(uid) == os.Getuid() {
		return nil, nil
	}
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("failed to run as user '%s': pacer is not run by root; leave the app's user out or start pacer as root", t.User)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("failed to run as user '%s': its group %q is not a number", t.User, u.Gid)
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	names, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("failed to run as user '%s': its groups cannot be read: %w", t.User, err)
	}
	for _, name := range names {
		if g, err := strconv.ParseUint(name, 10, 32); err == nil {
			c.Groups = append(c.Groups, uint32(g))
		}
	}
	return c, nil
}

// giveTo makes who the owner of all in folder, following no symlink.
func giveTo(who *syscall.Credential, folder string) error {
	if who == nil {
		return nil
	}
	return filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(who.Uid), int(who.Gid))
	})
}

//go:build unix

package executor

import (
	"cmp"
	"io/fs"
	"os/user"
	"strconv"
	"syscall"
)

// describe is a file as /files/browse tells it.
func describe(path string, info fs.FileInfo) fileInfo {
	d := fileInfo{Mode: modeWords(info.Mode()), MTime: seconds(info.ModTime()), NLink: 1, Path: path, Size: info.Size()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		d.NLink = uint64(s.Nlink)
		d.UID, d.GID = strconv.Itoa(int(s.Uid)), strconv.Itoa(int(s.Gid))
		if u, err := user.LookupId(d.UID); err == nil {
			d.UID = cmp.Or(u.Username, d.UID)
		}
		if g, err := user.LookupGroupId(d.GID); err == nil {
			d.GID = cmp.Or(g.Name, d.GID)
		}
	}
	return d
}

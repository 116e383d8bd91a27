package executor

import "syscall"

// setCgroup starts a process in the cgroup that is open as fd.
func setCgroup(attr *syscall.SysProcAttr, fd int) {
	attr.UseCgroupFD, attr.CgroupFD = true, fd
}

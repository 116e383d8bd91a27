//go:build !linux

package executor

import "syscall"

// setCgroup does nothing: only Linux has cgroups.
func setCgroup(*syscall.SysProcAttr, int) {}

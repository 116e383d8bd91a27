//go:build !race

package manifests

// mostAllocated is what reading a file of 1 MiB at most may allocate.
const mostAllocated = 64 << 20

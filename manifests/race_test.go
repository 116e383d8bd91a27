//go:build race

package manifests

// mostAllocated is what reading a file may allocate under the race detector, which
// drops at random what is pooled: the bound that counts is the other one.
const mostAllocated = 512 << 20

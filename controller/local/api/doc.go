// Package api is Marathon's HTTP API over a scheduler: it finds what a request
// asks for, decodes bodies and words answers. It decides nothing.
//
// Each resource has a file with its endpoints (apps.go, groups.go, pods.go …),
// which a request reaches by api.go. A handler runs under the scheduler's lock,
// so what it reads is of one moment; bodies are read before and answers written
// after it.
package api

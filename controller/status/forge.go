package status

import "time"

// Forge is how reporting to the forge of a source goes.
type Forge struct {
	Source string `json:"source"`
	Forge  string `json:"forge"` // the repository's address
	Pulls  int    `json:"pulls"` // open pull requests that it plans
	Queue  int    `json:"queue"` // what waits to be reported
	// Error is what went wrong last and was not made good since; empty: nothing.
	Error string `json:"error,omitempty"`
	// Denied: the token lacks a right, so a person has to act.
	Denied       bool      `json:"denied,omitempty"`
	FailingSince time.Time `json:"failingSince,omitzero"` // since when the forge does not answer
	LimitedUntil time.Time `json:"limitedUntil,omitzero"` // until when it takes no request
}

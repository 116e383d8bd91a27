package store

import (
	"slices"
	"strings"
)

// Asked says what had a pass begin. The zero value is not known.
type Asked struct {
	By Asker `json:"by"`
	// Of a person only: what was asked for, the name that was given with the
	// token (which nobody has proved), and which token it was ("act" or "read";
	// empty where none is configured).
	Verb    string `json:"verb,omitempty"`
	User    string `json:"user,omitempty"`
	Token   string `json:"token,omitempty"`
	Address string `json:"address,omitempty"` // that a person or a webhook came from
	Reason  string `json:"reason,omitempty"`  // that the person gave
}

// Asker is a kind of trigger.
type Asker string

// The kinds of trigger.
const (
	AskedByResync  Asker = "resync"         // nothing is known to have changed
	AskedByRetry   Asker = "retry"          // the pass before failed
	AskedByConfig  Asker = "configuration"  // the configuration changed, or was asked to be read again
	AskedByEvent   Asker = "Marathon event" // somebody changed Marathon
	AskedByStart   Asker = "start"          // the first look of a process
	AskedByPoll    Asker = "poll"           // a look at the source by the clock found a new revision
	AskedByChange  Asker = "source event"   // the source said that it changed
	AskedByWebhook Asker = "webhook"
	AskedByPerson  Asker = "person"
)

// askers is in the order in which one explains more than another.
var askers = []Asker{
	"", AskedByResync, AskedByRetry, AskedByConfig, AskedByEvent, AskedByStart, AskedByPoll, AskedByChange, AskedByWebhook, AskedByPerson,
}

// Or returns the one of two triggers of the same pass that explains more.
func (a Asked) Or(b Asked) Asked {
	if slices.Index(askers, b.By) > slices.Index(askers, a.By) {
		return b
	}
	return a
}

// String is for people: "person ada (act token) from 10.0.0.7: rollback".
func (a Asked) String() string {
	words := []string{string(a.By)}
	if a.User != "" {
		words = append(words, a.User)
	}
	if a.Token != "" {
		words = append(words, "("+a.Token+" token)")
	}
	if a.Address != "" {
		words = append(words, "from "+a.Address)
	}
	said := strings.Join(words, " ")
	if a.Verb != "" {
		said += ": " + a.Verb
	}
	if a.Reason != "" {
		said += " (" + a.Reason + ")"
	}
	return said
}

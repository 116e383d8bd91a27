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
	Via     string `json:"via,omitempty"`     // by what a person asked: page, command line or API, as the request says itself
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
	AskedByStart   Asker = "start"          // the first look of a process, or of the leader in its term
	AskedByPoll    Asker = "poll"           // a look at the source by the clock found a new revision
	AskedByChange  Asker = "source event"   // the source said that it changed
	AskedByWebhook Asker = "webhook"
	AskedByPerson  Asker = "person"
)

// askers is in the order in which one explains more than another.
var askers = []Asker{
	"", AskedByResync, AskedByRetry, AskedByConfig, AskedByEvent, AskedByStart, AskedByPoll, AskedByChange, AskedByWebhook, AskedByPerson,
}

// Or returns the one of two triggers of the same pass that explains more; of
// equals the first.
func (a Asked) Or(b Asked) Asked {
	if b.explains() > a.explains() {
		return b
	}
	return a
}

// explains orders triggers by how much they explain. A person who asks for what
// only a person can (a rollback, an approval) explains more than one who merely
// asks for a pass, as a poll would.
func (a Asked) explains() int {
	n := 2 * slices.Index(askers, a.By)
	if a.By == AskedByPerson && a.Verb != "" && a.Verb != "sync" {
		n++
	}
	return n
}

// String is for people: "person ada (command line, act token) from 10.0.0.7:
// rollback (it hangs)".
func (a Asked) String() string {
	words := []string{string(a.By)}
	if a.User != "" {
		words = append(words, a.User)
	}
	var by []string
	if a.Via != "" {
		by = append(by, a.Via)
	}
	if a.Token != "" {
		by = append(by, a.Token+" token")
	}
	if len(by) > 0 {
		words = append(words, "("+strings.Join(by, ", ")+")")
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

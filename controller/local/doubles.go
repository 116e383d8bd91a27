package local

import (
	"bytes"
	"encoding/json"
	"strings"
)

// doubleFields are the members of apps, pods and offers that Marathon holds as doubles.
var doubleFields = map[string]bool{
	"cpus": true, "mem": true, "disk": true, "backoffFactor": true, "minimumHealthCapacity": true, "maximumOverCapacity": true,
	"backoff": true, "maxLaunchDelay": true, "killGracePeriodSeconds": true, "scalar": true,
}

// withDoubles prints the doubles of a definition as Marathon does, 1.0 where Go
// says 1. It looks at the text: a key that is followed by a number cannot stand
// inside a string, where its quotation marks would be escaped.
func withDoubles(text json.RawMessage) json.RawMessage {
	out := make(json.RawMessage, 0, len(text)+64)
	rest := text
	for {
		i := bytes.Index(rest, []byte(`":`))
		if i < 0 {
			return append(out, rest...)
		}
		end := i + 2
		for end < len(rest) && strings.IndexByte("+-.0123456789Ee", rest[end]) >= 0 {
			end++
		}
		number := rest[i+2 : end]
		name := rest[bytes.LastIndexByte(rest[:i], '"')+1 : i]
		out = append(out, rest[:end]...)
		if len(number) > 0 && doubleFields[string(name)] && !bytes.ContainsAny(number, ".eE") {
			out = append(out, ".0"...)
		}
		rest = rest[end:]
	}
}

// inDoubles is an answer whose doubles are printed so; what cannot be encoded is
// left to answer, which says so.
func inDoubles(v any) any {
	text, err := encode(v)
	if err != nil {
		return v
	}
	return withDoubles(text)
}

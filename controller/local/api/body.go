package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/pacer-gitops/pacer/controller/local/state"
)

// body is the JSON of a request, with the text for the messages that quote it.
type body struct {
	raw  []byte
	tree any // map[string]any, []any, string, json.Number, bool or nil
}

// maxBody bounds what is read of one request. Marathon has no bound; 64 MiB is
// twenty times what ten thousand apps need.
const maxBody = 64 << 20

func readBody(w http.ResponseWriter, r *http.Request) (body, error) {
	if t := r.Header.Get("Content-Type"); t != "" {
		media, _, err := mime.ParseMediaType(t)
		if err != nil || !strings.HasSuffix(media, "json") {
			return body{}, state.Refuse(http.StatusUnsupportedMediaType, "Unsupported Media Type")
		}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return body{}, state.Refuse(http.StatusBadRequest, "reading the request: %v", err)
	}
	return parseBody(raw)
}

func parseBody(raw []byte) (body, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return body{}, &state.Refusal{
			Status: http.StatusBadRequest, Message: "Please specify data in JSON format",
			Details: fmt.Sprintf("No content to map due to end-of-input\n at [Source: (byte[])%q; line: 1, column: 0]", raw),
		}
	}
	b := body{raw: raw}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&b.tree); err != nil {
		return body{}, &state.Refusal{Status: http.StatusBadRequest, Message: "Invalid JSON", Details: parserText(raw, err)}
	}
	return b, nil
}

// parserText words a syntax error as Marathon's parser does, for the two
// faults that people make most: a document cut short, and a missing comma.
func parserText(raw []byte, err error) string {
	open, last := nesting(raw)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) && !strings.Contains(err.Error(), "unexpected end") {
		c := raw[min(max(int(syntax.Offset)-1, 0), len(raw)-1)]
		expecting := "was expecting double-quote to start field name"
		if strings.Contains(err.Error(), "after object key:value pair") {
			expecting = "was expecting comma to separate Object entries"
		} else if strings.Contains(err.Error(), "after array element") {
			expecting = "was expecting comma to separate Array entries"
		} else if strings.Contains(err.Error(), "beginning of value") {
			expecting = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
		}
		return fmt.Sprintf("Unexpected character ('%c' (code %d)): %s", c, c, expecting)
	}
	kind := "Object"
	if open == '[' {
		kind = "Array"
	}
	before := raw[:last]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := last - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("Unexpected end-of-input: expected close marker for %s (start marker at [Source: (byte[])\"%s\"; line: %d, column: %d])",
		kind, raw, line, column)
}

// nesting is the innermost bracket that is still open at the end, and where.
func nesting(raw []byte) (open byte, at int) {
	type mark struct {
		c  byte
		at int
	}
	var stack []mark
	inString := false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			stack = append(stack, mark{c, i})
		case (c == '}' || c == ']') && len(stack) > 0:
			stack = stack[:len(stack)-1]
		}
	}
	if len(stack) == 0 {
		return '{', 0
	}
	top := stack[len(stack)-1]
	return top.c, top.at
}

// object is the body as an object; another shape counts as one with no field,
// which is how Marathon reads it in an update.
func (b body) object() map[string]any {
	if o, isObject := b.tree.(map[string]any); isObject {
		return o
	}
	return map[string]any{}
}

// strict is the body as an object that has these members.
func (b body) strict(members ...string) (map[string]any, error) {
	o, isObject := b.tree.(map[string]any)
	if !isObject {
		return nil, invalidJSONAt("/id", "%s is not an object", compact(b.raw))
	}
	for _, key := range members {
		if _, given := present(o, key); !given {
			return nil, invalidJSONAt("/"+key, "'%s' is undefined on object: %s", key, compact(b.raw))
		}
	}
	return o, nil
}

// compact is a part of the request as Marathon quotes it.
func compact(raw []byte) string {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return string(raw)
	}
	return out.String()
}

// present is the member of an object unless it is absent or null.
func present(o map[string]any, key string) (any, bool) {
	v, ok := o[key]
	return v, ok && v != nil
}

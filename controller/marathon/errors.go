package marathon

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// Error is an answer of Marathon that is not a success, or the lack of one.
type Error struct {
	Method, URL string // URL without secrets
	Status      int    // of the answer; 0: there was none, Cause says why
	Message     string // Marathon's words, without what it echoed of the request
	Details     []Detail
	Deployments []string // of a 409: who holds the lock
	// Sent is false where no byte of the request can have reached a Marathon.
	Sent  bool
	Cause error // of Status 0
}

// Detail is one complaint of a 422.
type Detail struct {
	Path   string   `json:"path"`
	Errors []string `json:"errors"`
}

// Error tells what was asked, what was answered and what is wrong.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Status == 0 {
		fmt.Fprintf(&b, "%s %s: no answer from Marathon: %v", e.Method, e.URL, e.Cause)
		return b.String()
	}
	fmt.Fprintf(&b, "%s %s: Marathon answered %d: %s", e.Method, e.URL, e.Status, e.Words())
	return b.String()
}

// mostWords is how many complaints, or locks, are told: the rest of a thousand is
// no news.
const mostWords = 20

// mostDetails is how many complaints are kept, to find what they are about.
const mostDetails = 500

// Words is what Marathon said, in one line: message, complaints, and who holds
// the lock.
func (e *Error) Words() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Message == "" {
		b.WriteString(strings.ToLower(http.StatusText(e.Status)))
	}
	for _, d := range e.Details[:min(len(e.Details), mostWords)] {
		fmt.Fprintf(&b, "; %s: %s", d.Path, strings.Join(first(d.Errors), ", "))
	}
	if more := len(e.Details) - mostWords; more > 0 {
		fmt.Fprintf(&b, "; and %d more", more)
	}
	if len(e.Deployments) > 0 {
		fmt.Fprintf(&b, " (deployments %s)", strings.Join(first(e.Deployments), ", "))
	}
	return b.String()
}

// first are the first of many words, and how many more there are.
func first(words []string) []string {
	if len(words) <= mostWords {
		return words
	}
	return append(slices.Clone(words[:mostWords]), fmt.Sprintf("and %d more", len(words)-mostWords))
}

// Unwrap returns why there was no answer.
func (e *Error) Unwrap() error { return e.Cause }

// Kind sorts errors by what can be done about them.
type Kind int

// The kinds of Error. Source: Marathon's
// MarathonExceptionMapper, and testdata/conformance/api/errors.json.
const (
	KindOther        Kind = iota // a 4xx that is none of the others: a fault of the request
	KindLocked                   // 409 with the deployments that hold the lock
	KindConflict                 // 409: it exists already
	KindRejected                 // 422, 400: the definition is not valid
	KindTooMany                  // 403: more deployments are running than are allowed
	KindForbidden                // 403: not allowed to do this
	KindUnauthorised             // 401: not known, or a wrong password
	KindNotFound                 // 404
	KindUnknown                  // 5xx, or no answer though the request may have arrived
	KindNotSent                  // no Marathon could be reached
)

// Kind sorts the error.
func (e *Error) Kind() Kind {
	switch {
	case e.Status == 0 && !e.Sent:
		return KindNotSent
	case e.Status == 0 || e.Status >= 500 || e.Status == http.StatusRequestTimeout:
		return KindUnknown
	case e.Status < 300: // an answer that says success and cannot be read
		return KindUnknown
	}
	switch e.Status {
	case http.StatusConflict:
		if len(e.Deployments) > 0 {
			return KindLocked
		}
		return KindConflict
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return KindRejected
	case http.StatusTooManyRequests:
		return KindTooMany
	case http.StatusForbidden:
		if strings.HasPrefix(e.Message, "Max number") {
			return KindTooMany
		}
		return KindForbidden
	case http.StatusUnauthorized:
		return KindUnauthorised
	case http.StatusNotFound:
		return KindNotFound
	}
	return KindOther
}

// KindOf returns the kind of the *Error in err, and KindUnknown for any other
// error: what is not understood may have happened.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind()
	}
	return KindUnknown
}

const maxMessage = 2000 // bytes of Marathon's words that are kept

// echo finds what Marathon's JSON reader quotes of the request; it comes last
// in the sentence.
var echo = regexp.MustCompile(`(?s)( on object: |\[Source: | at \[Source).*`)

// cleanser cuts out of an answer what it repeats of the request's secrets.
type cleanser struct{ env []string }

// leastEchoed is how many bytes a value has that is cut out of an answer to what
// held it: there is less to read in it than in what tasks say.
const leastEchoed = 4

// newCleanser takes the plain values of environment variables of what is sent.
func newCleanser(body any) cleanser {
	switch b := body.(type) {
	case *manifests.App:
		return cleanser{envOf(b)}
	case []*manifests.App:
		var values []string
		for _, a := range b {
			values = append(values, envOf(a)...)
		}
		slices.Sort(values)
		return cleanser{slices.Compact(values)}
	case *manifests.Pod:
		return cleanser{envOfPod(b)}
	}
	return cleanser{}
}

// clean makes texts fit for an error and a log: each one line, bounded, without
// echoes. What is sent may have very many values, so all texts are searched as one.
func (c cleanser) clean(texts ...*string) {
	const between = "\x00"
	whole := make([]string, len(texts))
	for i, t := range texts {
		whole[i] = strings.ReplaceAll(echo.ReplaceAllString(visible.Cut(*t, 8*maxMessage), ""), between, " ")
	}
	all := visible.Hide(strings.Join(whole, between), c.env, leastEchoed)
	cleaned := strings.Split(all, between)
	for i, t := range texts {
		*t = ""
		if len(cleaned) == len(texts) { // else a value went from one text to the next
			*t = oneLine(cleaned[i])
		}
	}
}

// oneLine makes words of others fit for an error and a log, and cuts what is too
// long.
func oneLine(s string) string { return visible.Words(visible.Cut(s, maxMessage)) }

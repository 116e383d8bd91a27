package forge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// What Bitbucket Cloud and Bitbucket Data Center have in common. Neither has labels.

const (
	// bitbucketComment: both take 32,768 characters.
	bitbucketComment = 32768
	// bitbucketKeyLength is how long the key of a build status may be.
	bitbucketKeyLength = 40
	// bitbucketText is how many characters its name and description may have.
	bitbucketText = 255
	// bitbucketAnnotations is how many lines a report of Code Insights may have, and
	// bitbucketBatch how many are sent at once.
	bitbucketAnnotations, bitbucketBatch = 1000, 100
	// bitbucketMessage is how many characters an annotation may have in Cloud, the
	// stricter of the two.
	bitbucketMessage = 450
)

// bitbucketTags are the HTML of comments, which both Bitbucket show as it is written,
// and what is sent for it. The characters that nobody sees, one for each, tell them apart
// from what else is in the comment when it is read again: no comment has them otherwise.
var bitbucketTags = []string{
	"<details>", "\u2060", "</details>", "\u2061", "<summary>", "\u2062**", "</summary>", "**\u2063",
	"<code>", "\u2064", "</code>", "\u206a", "<br>", " \u206b",
}

var (
	bitbucketSent = strings.NewReplacer(bitbucketTags...)
	bitbucketRead = strings.NewReplacer(turned(bitbucketTags)...)
)

func turned(pairs []string) []string {
	pairs = slices.Clone(pairs)
	for i := 0; i < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
	}
	return pairs
}

const (
	htmlBegin, htmlEnd           = "<!-- ", " -->"
	definitionBegin, definitionX = "\n[//]: # (", ")"
)

// toBitbucket is a comment as Bitbucket hides and shows it. The last HTML comment, which
// is the marker, becomes the definition of a link that nothing refers to.
func toBitbucket(body string) string {
	body = swapLast(body, htmlBegin, htmlEnd, definitionBegin, definitionX)
	return bitbucketSent.Replace(body)
}

// fromBitbucket is the other direction.
func fromBitbucket(body string) string {
	body = bitbucketRead.Replace(strings.ReplaceAll(body, "\r\n", "\n"))
	return swapLast(body, definitionBegin, definitionX, htmlBegin, htmlEnd)
}

// swapLast replaces what is around the last text between begin and end, if that has none
// of the marks itself.
func swapLast(body, begin, end, newBegin, newEnd string) string {
	at := strings.LastIndex(body, begin)
	if at < 0 {
		return body
	}
	inner, rest, ok := strings.Cut(body[at+len(begin):], end)
	if !ok || strings.ContainsAny(inner, "()<>\n") || strings.Contains(rest, newBegin) {
		return body
	}
	return body[:at] + newBegin + inner + newEnd + rest
}

// bitbucketBuild is a build status.
type bitbucketBuild struct {
	Key         string `json:"key"`
	Name        string `json:"name"`
	State       string `json:"state"`
	Description string `json:"description"`
	URL         string `json:"url"`
}

// bitbucketKey is the key of a context: itself if it fits, else its beginning and what
// tells it from others.
func bitbucketKey(context string) string {
	if len(context) <= bitbucketKeyLength {
		return context
	}
	sum := sha256.Sum256([]byte(context))
	const told = 12
	return strings.ToValidUTF8(context[:bitbucketKeyLength-told-1], "") + "-" + hex.EncodeToString(sum[:])[:told]
}

// bitbucketWords are the states of a build status. Data Center has another word for what
// is stopped.
var bitbucketWords = map[State]string{Pending: "INPROGRESS", Success: "SUCCESSFUL", Failure: "FAILED", Stopped: "STOPPED"}

// newBitbucketBuild is a status as a build; Bitbucket wants a URL: of nowhere, page.
func newBitbucketBuild(s Status, page string) bitbucketBuild {
	return bitbucketBuild{
		Key: bitbucketKey(s.Context), Name: cutCharacters(s.Context, bitbucketText), State: bitbucketWords[s.State],
		Description: cutCharacters(s.Description, bitbucketText), URL: cmp.Or(s.URL, page),
	}
}

func (b bitbucketBuild) status(page string) Status {
	s := Status{Context: b.Key, State: Pending, Description: b.Description, URL: b.URL}
	if b.Name != "" && bitbucketKey(b.Name) == b.Key {
		s.Context = b.Name
	}
	if s.URL == page {
		s.URL = ""
	}
	switch b.State {
	case "SUCCESSFUL":
		s.State = Success
	case "FAILED":
		s.State = Failure
	case "STOPPED", "CANCELLED":
		s.State = Stopped
	}
	return s
}

// bitbucketReport is the key of a report.
func bitbucketReport(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' {
			return '-'
		}
		return r
	}, bitbucketKey("pacer-"+strings.TrimPrefix(name, "pacer/")))
}

// anyError reports whether one of the annotations is an error.
func anyError(all []Annotation) bool {
	return slices.ContainsFunc(all, func(a Annotation) bool { return !a.Warning })
}

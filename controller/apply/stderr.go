package apply

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/manifests"
	"github.com/pacer-gitops/pacer/visible"
)

// Sandboxes is what a Marathon may offer beside: what tasks have written.
// *marathon.Client does.
type Sandboxes interface {
	// Stderr returns the end of what a task that failed wrote to its standard
	// error. It takes no longer than a second or two.
	Stderr(ctx context.Context, f marathon.TaskFailure) (string, error)
}

// lastWords keeps what tasks that failed wrote last. Each task is asked for
// once, and a host that does not answer is left alone for a while, so that
// explaining never costs much.
type lastWords struct {
	from Sandboxes // nil: nothing is ever known

	mu     sync.Mutex
	known  map[string]string    // by task
	silent map[string]time.Time // by host: since when
}

const (
	hostPause = time.Minute
	wordsTime = 2 * time.Second // of one round of explanations, give or take one task
	mostWords = 1000            // tasks that are remembered
)

// of returns the last lines of a failed task, without what is or looks like a secret;
// empty where they cannot be had.
func (l *lastWords) of(ctx context.Context, f *marathon.TaskFailure, def live) string {
	if l == nil || l.from == nil || f == nil || f.TaskID == "" {
		return ""
	}
	l.mu.Lock()
	words, known := l.known[f.TaskID]
	pause := time.Since(l.silent[f.Host]) < hostPause
	l.mu.Unlock()
	if known || pause {
		return words
	}
	text, err := l.from.Stderr(ctx, *f)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.silent[f.Host] = time.Now()
		return ""
	}
	if len(l.known) >= mostWords {
		clear(l.known)
	}
	words = lastLines(text, def)
	l.known[f.TaskID] = words
	return words
}

// mesosLine is a line of the log of a Mesos executor, which shares the file.
var mesosLine = regexp.MustCompile(`^[IWEF]\d{4} \d{2}:\d{2}:\d{2}\.\d+ `)

// Bounds of what is quoted.
const (
	mostLines = 2
	mostBytes = 300
)

// lastLines is what is worth quoting of the end of a task's standard error.
func lastLines(text string, def live) string {
	var lines []string
	for line := range strings.Lines(plan.Masked(text, secretValues(def))) {
		line = strings.Join(strings.Fields(line), " ")
		if line != "" && !mesosLine.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	words := strings.Join(lines[max(0, len(lines)-mostLines):], " / ")
	if len(words) > mostBytes {
		words = words[len(words)-mostBytes:]
		for len(words) > 0 && !utf8.RuneStart(words[0]) {
			words = words[1:]
		}
		words = "…" + words
	}
	return visible.Line(words)
}

// secretValues are the values in a definition's environment, by name.
func secretValues(def live) map[string]string {
	values := map[string]string{}
	add := func(env map[string]manifests.EnvValue) {
		for name, v := range env {
			values[name] = v.Value
		}
	}
	if def.app != nil && def.app.Definition != nil {
		add(def.app.Definition.Env)
	}
	if def.pod != nil && def.pod.Definition != nil {
		add(def.pod.Definition.Environment)
		for _, c := range def.pod.Definition.Containers {
			for name, v := range c.Environment { // of the same name in several: all
				values[c.Name+" "+name] = v.Value
			}
		}
	}
	return values
}

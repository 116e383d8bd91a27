package apply

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacer-gitops/pacer/controller/marathon"
	"github.com/pacer-gitops/pacer/manifests"
)

func TestLastLines(t *testing.T) {
	def := live{app: &marathon.App{Definition: &manifests.App{Env: map[string]manifests.EnvValue{"DB_PASSWORD": {Value: "hunter2"}, "HOME": {Value: "/root"}}}}}
	cases := map[string]string{
		"":                                   "",
		"\n \n":                              "",
		"sh: demoap: not found\n":            "sh: demoap: not found",
		"a\nb\nc\n":                          "b / c",
		"E0101 10:00:00.123456 7 x\nboom":    "boom",
		"login as hunter2 in /root":          "login as <hidden> in /root",
		"https://u:pw@host --token abcdefgh": "https://u:<hidden>@host --token <hidden>",
		"\x1b[31mred\x00":                    `\x1b[31mred\x00`,
	}
	for text, want := range cases {
		if got := lastLines(text, def); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := lastLines(strings.Repeat("ä", 400), def); len(got) > mostBytes+len("…") || !strings.HasPrefix(got, "…ä") {
		t.Errorf("a long line: %q", got)
	}
}

// TestNoEnvInLastWords: what a task wrote has no value of its environment in it,
// whatever that is called and however the task encoded it; of an app and of a pod.
func TestNoEnvInLastWords(t *testing.T) {
	const canary = "canary-3f9a+7c21/x"
	env := map[string]manifests.EnvValue{"GREETING": {Value: canary}, "DB_PASSWORD": {Value: "four"}, "LEVEL": {Value: "info"}, "KEY": {Value: "-----\nabcdefgh\n-----"}}
	for kind, def := range map[string]live{
		"app":                {app: &marathon.App{Definition: &manifests.App{Env: env}}},
		"pod":                {pod: &marathon.Pod{Definition: &manifests.Pod{Environment: env}}},
		"container of a pod": {pod: &marathon.Pod{Definition: &manifests.Pod{Containers: []manifests.PodContainer{{Environment: env}}}}},
	} {
		for form, want := range map[string]string{
			canary: "x <hidden> y", base64.StdEncoding.EncodeToString([]byte("u:" + canary)): "", hex.EncodeToString([]byte(canary)): "x <hidden> y",
			url.QueryEscape(canary): "x <hidden> y", "four": "x <hidden> y", "info": "x info y", "abcdefgh": "x <hidden> y",
		} {
			got := lastLines("x "+form+" y\n", def)
			if want != "" && got != want || strings.Contains(got, strings.Trim(form, "=")) && form != "info" {
				t.Errorf("%s: %q: %q, want %q", kind, form, got, want)
			}
		}
	}
}

// box is where tasks have written "boom", or that does not answer.
type box struct {
	asked int
	err   error
}

func (b *box) Stderr(context.Context, marathon.TaskFailure) (string, error) {
	b.asked++
	return "boom", b.err
}

func TestLastWordsAreAskedForSparingly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &box{}
		l := &lastWords{from: b, known: map[string]string{}, silent: map[string]time.Time{}}
		ask := func(task, want string, asked int) {
			t.Helper()
			if got := l.of(t.Context(), &marathon.TaskFailure{TaskID: task, Host: "h"}, live{}); got != want || b.asked != asked {
				t.Errorf("task %s: %q, asked %d times, want %q, %d", task, got, b.asked, want, asked)
			}
		}
		ask("1", "boom", 1)
		ask("1", "boom", 1)
		b.err = errors.New("away")
		ask("2", "", 2)
		ask("3", "", 2)
		time.Sleep(hostPause)
		b.err = nil
		ask("3", "boom", 3)
	})
}

package forge

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacer-gitops/pacer/controller/forge/forgetest"
	"github.com/pacer-gitops/pacer/secret"
	"github.com/pacer-gitops/pacer/sources/gittest"
)

// standIns start a stand-in with small pages of each type of forge.
var standIns = map[string]func(t *testing.T, w *forgetest.World) forgetest.StandIn{
	"gitlab": func(t *testing.T, w *forgetest.World) forgetest.StandIn {
		g := forgetest.NewGitLab(t, w)
		g.PageSize = 2
		return g
	},
	"github": func(t *testing.T, w *forgetest.World) forgetest.StandIn {
		g := forgetest.NewGitHub(t, w)
		g.PageSize = 2
		return g
	},
	"bitbucket": func(t *testing.T, w *forgetest.World) forgetest.StandIn {
		b := forgetest.NewBitbucketCloud(t, w)
		b.PageSize = 2
		return b
	},
	"bitbucket-server": func(t *testing.T, w *forgetest.World) forgetest.StandIn {
		b := forgetest.NewBitbucketServer(t, w)
		b.PageSize = 2
		return b
	},
	"bitbucket-server 7": func(t *testing.T, w *forgetest.World) forgetest.StandIn {
		b := forgetest.NewBitbucketServer(t, w)
		b.PageSize, b.Old = 2, true
		return b
	},
}

// eachForge runs a test against all of them.
func eachForge(t *testing.T, test func(t *testing.T, w *forgetest.World, s forgetest.StandIn)) {
	for name, start := range standIns {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t)
			repo.Commit("Begin", map[string]string{"shop.json": "{\n  \"id\": \"/shop\"\n}\n"})
			w := forgetest.NewWorld(t, repo, "acme", "apps")
			test(t, w, start(t, w))
		})
	}
}

// openStandIn opens the repository with what a change does to the options.
func openStandIn(t *testing.T, s forgetest.StandIn, change func(o *Options)) Forge {
	t.Helper()
	is := s.Options()
	o := Options{Type: is.Type, URL: is.URL, Repository: is.Repository, Token: secret.Value(is.Token)}
	if change != nil {
		change(&o)
	}
	f, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestPullRequestsOfForges(t *testing.T) {
	eachForge(t, func(t *testing.T, w *forgetest.World, s forgetest.StandIn) {
		f, ctx, begin := openStandIn(t, s, nil), t.Context(), w.Now()
		for i := range 5 {
			w.Open(forgetest.Opening{Title: fmt.Sprint("Change ", i+1), Body: "why", Author: "ada", Files: change(i), Labels: []string{"a", "b"}})
		}
		w.Close(2)
		w.Push(1, "More", change(10))
		w.SetDraft(1, true)
		pulls, more, err := f.Pulls(ctx)
		if err != nil || more || numbers(pulls) != "1 5 4 3" {
			t.Fatalf("listed %s, more %t, %v", numbers(pulls), more, err)
		}
		is := w.Pull(1)
		labels := []string{"a", "b"}
		if !s.Options().Labels {
			labels = nil
		}
		got := pulls[0]
		if got.Title != "Change 1" || got.Body != "why" || got.Author != "ada" || got.State != PullOpen || !got.Draft || got.Fork || got.Base != "main" || got.Head != is.Head ||
			got.HeadCommit != is.HeadCommit || !slices.Equal(got.Labels, labels) || !strings.HasPrefix(got.URL, "https://") || got.Updated.Sub(is.Updated).Abs() > time.Second {
			t.Errorf("listed %+v, expected %+v", got, is)
		}
		got, err = f.Pull(ctx, 1)
		if err != nil || got.HeadCommit != is.HeadCommit || got.MergeBase != is.MergeBase && !(got.MergeBase == "" && strings.HasSuffix(t.Name(), "_7")) || got.Conflicts {
			t.Errorf("read %+v, %v, expected %+v", got, err, is)
		}
		if at := w.Repo.BareGit("rev-parse", got.HeadRef); at != is.HeadCommit {
			t.Errorf("%s is at %s, expected %s", got.HeadRef, at, is.HeadCommit)
		}
		if got.MergeRef != "" && w.Repo.BareGit("rev-parse", got.MergeRef) != is.MergeCommit {
			t.Errorf("%s is not at the merge", got.MergeRef)
		}

		w.Squash(3)
		w.Advance(time.Hour)
		since := w.Now()
		w.Merge(4)
		for n, want := range map[int]PullState{2: PullClosed, 3: PullMerged, 4: PullMerged, 5: PullOpen} {
			got, err := f.Pull(ctx, n)
			is := w.Pull(n)
			if err != nil || got.State != want || got.MergedAs != is.MergedAs || got.MergedAt.Sub(is.MergedAt).Abs() > time.Second || want != PullOpen && got.MergeRef != "" {
				t.Errorf("%d: %+v, %v, expected %+v", n, got, err, is)
			}
		}
		for from, want := range map[time.Time]string{begin: "4 3", since: "4"} {
			pulls, err := f.MergedSince(ctx, from)
			if err != nil || numbers(pulls) != want || pulls[0].MergedAs != w.Pull(4).MergedAs {
				t.Errorf("merged since %v: %s, %v, expected %s", from, numbers(pulls), err, want)
			}
		}
		if _, err := f.Pull(ctx, 99); !errors.Is(err, ErrNotFound) {
			t.Errorf("one that is not there: %v", err)
		}
	})
}

// Lists that do not end are bounded, by items or, where those are the same again, by pages.
func TestListsOfForgesAreBounded(t *testing.T) {
	eachForge(t, func(t *testing.T, _ *forgetest.World, s forgetest.StandIn) {
		f, ctx := openStandIn(t, s, nil), t.Context()
		var items []string
		body := func() string {
			all := "[" + strings.Join(items, ",") + "]"
			switch s.Options().Type {
			case "gitlab", "github":
				return all
			case "bitbucket":
				return fmt.Sprintf(`{"values": %s, "next": "%s/2.0/repositories/acme/apps/pullrequests?page=2"}`, all, s.Options().URL)
			}
			return fmt.Sprintf(`{"values": %s, "isLastPage": false, "nextPageStart": %d}`, all, 1<<30)
		}
		path := map[string]string{"gitlab": "/merge_requests?", "github": "/pulls?", "bitbucket": "/pullrequests?"}[s.Options().Type]
		list := func() ([]Pull, bool, error) {
			s.Breakable().Heal()
			s.Breakable().Break(forgetest.Fault{Path: cmp.Or(path, "/pull-requests?"), Status: 200, Header: http.Header{"X-Next-Page": {"2"}, "Link": {"<" + s.Options().URL + `/x?page=2>; rel="next"`}}, Body: body()})
			return f.Pulls(ctx)
		}
		for i := range MaxPulls + 1 {
			items = append(items, fmt.Sprintf(`{"id": %d, "iid": %[1]d, "number": %[1]d}`, i+1))
		}
		if pulls, more, err := list(); err != nil || len(pulls) != MaxPulls || !more {
			t.Errorf("%d pull requests, more %t, %v", len(pulls), more, err)
		}
		items = items[:2]
		s.Breakable().Requests()
		pulls, more, err := list()
		if asked := len(s.Breakable().Requests()); asked > 110 || err == nil && (len(pulls) != 2 || more) {
			t.Errorf("the same page for ever: %d requests, %d pull requests, %v", asked, len(pulls), err)
		}
	})
}

func TestForksAtForges(t *testing.T) {
	eachForge(t, func(t *testing.T, w *forgetest.World, s forgetest.StandIn) {
		f, ctx := openStandIn(t, s, nil), t.Context()
		n := w.Open(forgetest.Opening{Fork: "mallory", Author: "mallory", Head: "main", Files: map[string]string{"shop.json": "[]\n"}})
		head := w.Pull(n).HeadCommit
		p, err := f.Pull(ctx, n)
		if err != nil || !p.Fork || p.HeadCommit != head || p.Head != "main" {
			t.Errorf("a fork: %+v, %v", p, err)
		}
		if p.HeadRef != "" && w.Repo.BareGit("rev-parse", p.HeadRef) != head {
			t.Errorf("%s is not the fork's head", p.HeadRef)
		}
		if listed, _, err := f.Pulls(ctx); err != nil || len(listed) != 1 || !listed[0].Fork || listed[0].HeadCommit != head {
			t.Errorf("a fork, listed: %+v, %v", listed, err)
		}
		if !s.Options().Labels {
			return // forks are never planned there
		}
		want := Status{Context: "pacer/shop/plan", State: Pending, Description: "waits", URL: "https://pacer.test/pulls/1"}
		if err := f.SetStatus(ctx, head, want); err != nil {
			t.Errorf("status of a fork: %v", err)
		}
		if got, err := f.Statuses(ctx, head); err != nil || !slices.Equal(got, []Status{want}) {
			t.Errorf("statuses of a fork: %+v, %v", got, err)
		}
	})
}

func TestConflictsAtForges(t *testing.T) {
	eachForge(t, func(t *testing.T, w *forgetest.World, s forgetest.StandIn) {
		if s.Options().Type == "bitbucket" {
			return // it does not say
		}
		f := openStandIn(t, s, nil)
		n := w.Open(forgetest.Opening{Files: map[string]string{"shop.json": "[]\n"}})
		w.Repo.Commit("Conflict", map[string]string{"shop.json": "{}\n"})
		if p, err := f.Pull(t.Context(), n); err != nil || !p.Conflicts || p.MergeRef != "" && s.Options().Type != "github" { // GitHub's stays behind
			t.Errorf("with conflicts: %+v, %v", p, err)
		}
	})
}

func TestLabelsOfForges(t *testing.T) {
	eachForge(t, func(t *testing.T, w *forgetest.World, s forgetest.StandIn) {
		f, ctx := openStandIn(t, s, nil), t.Context()
		n := w.Open(forgetest.Opening{Files: change(1), Labels: []string{"pacer/plan", "other"}})
		for range 2 { // the second time it is not there
			if err := f.RemoveLabel(ctx, n, "pacer/plan"); err != nil {
				t.Error(err)
			}
		}
		if got := strings.Join(w.Pull(n).Labels, " "); s.Options().Labels && got != "other" {
			t.Errorf("labels left: %s", got)
		}
	})
}

func TestCommentsOfForges(t *testing.T) {
	eachForge(t, func(t *testing.T, w *forgetest.World, s forgetest.StandIn) {
		f, ctx := openStandIn(t, s, nil), t.Context()
		n := w.Open(forgetest.Opening{Files: change(1)})
		text := func(what string) string {
			return "**1 restart** " + what + "\n\n<details><summary><code>/shop</code></summary>\n\nfields<br>more\n\n</details>\n\n<!-- pacer c2hvcA e30 -->"
		}
		const marker = "<!-- pacer c2hvcA "
		for range 3 {
			w.Comment(n, "grace", text("grace's"))
		}
		if found, err := f.FindComment(ctx, n, marker); err != nil || found != nil {
			t.Fatalf("found somebody else's: %+v, %v", found, err)
		}
		made, err := f.CreateComment(ctx, n, text("one"))
		if err != nil || made.ID == "" || made.Body != text("one") || !strings.HasPrefix(made.URL, "http") {
			t.Fatalf("created %+v, %v", made, err)
		}
		if _, err := f.CreateComment(ctx, n, text("later")); err != nil {
			t.Fatal(err)
		}
		// A new process knows nothing of it.
		f = openStandIn(t, s, nil)
		found, err := f.FindComment(ctx, n, marker)
		if err != nil || found == nil || *found != made {
			t.Fatalf("found %+v, %v, expected %+v", found, err, made)
		}
		if found, err := f.FindComment(ctx, n, "<!-- pacer other "); err != nil || found != nil {
			t.Errorf("found another source's: %+v, %v", found, err)
		}
		for _, what := range []string{"two", "three"} {
			if err := f.EditComment(ctx, n, made.ID, text(what)); err != nil {
				t.Fatal(err)
			}
		}
		if found, err := f.FindComment(ctx, n, marker); err != nil || found == nil || found.Body != text("three") || found.ID != made.ID {
			t.Errorf("after an edit: %+v, %v", found, err)
		}
		if own := w.Comments(n, "pacer"); len(own) != 2 || !strings.Contains(own[0].Body, "three") || strings.Contains(own[1].Body, "three") {
			t.Errorf("comments: %+v", own)
		}
		w.DeleteComment(w.Comments(n, "pacer")[0].ID)
		if err := f.EditComment(ctx, n, made.ID, text("four")); !errors.Is(err, ErrNotFound) {
			t.Errorf("edit one that is not there: %v", err)
		}
		if err := f.EditComment(ctx, n, "../x", text("four")); err == nil {
			t.Error("an id that is none is taken")
		}
		long := strings.Repeat("é", f.MaxComment()/2)
		if c, err := f.CreateComment(ctx, n, long); err != nil || c.Body != long {
			t.Errorf("the longest: %v", err)
		}
	})
}

func TestStatusesOfForges(t *testing.T) {
	eachForge(t, func(t *testing.T, w *forgetest.World, s forgetest.StandIn) {
		f, ctx := openStandIn(t, s, nil), t.Context()
		commit := w.Repo.Head()
		var all []Status
		set := func(st Status) {
			t.Helper()
			if err := f.SetStatus(ctx, commit, st); err != nil {
				t.Errorf("%+v: %v", st, err)
			}
			all = append(slices.DeleteFunc(all, func(o Status) bool { return o.Context == st.Context }), st)
			got, err := f.Statuses(ctx, commit)
			slices.SortFunc(got, func(a, b Status) int { return strings.Compare(a.Context, b.Context) })
			slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Context, b.Context) })
			if err != nil || !slices.Equal(got, all) {
				t.Errorf("after %+v: %+v, %v, expected %+v", st, got, err, all)
			}
		}
		const page = "https://pacer.test/syncs/shop"
		long := "pacer/a-name-of-a-sync-that-is-longer-than-some-forges-take/plan"
		for _, state := range []State{Pending, Success, Failure, Stopped, Pending} {
			set(Status{Context: "pacer/shop", State: state, Description: "says " + string(state), URL: page})
			set(Status{Context: long, State: state, URL: page})
		}
		// Each of these is still pending, with another text.
		for _, text := range []string{"1 of 3", "2 of 3", "3 of 3", "3 of 3"} {
			set(Status{Context: "pacer/shop", State: Pending, Description: text, URL: page})
		}
		set(Status{Context: "pacer/shop", State: Success, Description: "healthy"})
		for _, long := range []string{strings.Repeat("é", 400), strings.Repeat("x", 256)} {
			if err := f.SetStatus(ctx, commit, Status{Context: "long", State: Failure, Description: long, URL: page}); err != nil {
				t.Error(err)
			}
			if got := w.Statuses(commit)["long"].Description; !strings.HasPrefix(got, long[:130]) || !strings.HasSuffix(got, "…") {
				t.Errorf("cut to %q", got)
			}
		}
		if err := f.SetStatus(ctx, strings.Repeat("0", 40), Status{Context: "pacer/shop", State: Success, Description: "x", URL: page}); err == nil || !errors.Is(err, ErrNotFound) && s.Options().Type != "github" { // 422
			t.Errorf("a commit that is not there: %v", err)
		}
	})
}

// everything asks a forge by each of its methods.
func everything(t *testing.T, f Forge) map[string]error {
	ctx, errs := t.Context(), map[string]error{}
	_, errs["Check"] = f.Check(ctx)
	_, _, errs["Pulls"] = f.Pulls(ctx)
	_, errs["Pull"] = f.Pull(ctx, 1)
	_, errs["MergedSince"] = f.MergedSince(ctx, time.Time{})
	_, errs["FindComment"] = f.FindComment(ctx, 1, "x")
	_, errs["CreateComment"] = f.CreateComment(ctx, 1, "x")
	errs["EditComment"] = f.EditComment(ctx, 1, "1", "x")
	_, errs["Statuses"] = f.Statuses(ctx, "1234567812345678123456781234567812345678")
	errs["SetStatus"] = f.SetStatus(ctx, "1234567812345678123456781234567812345678", Status{Context: "x", State: Success})
	return errs
}

func TestErrorsOfForges(t *testing.T) {
	eachForge(t, func(t *testing.T, w *forgetest.World, s forgetest.StandIn) {
		var log bytes.Buffer
		token := "wrong:" + canary
		if s.Options().Labels {
			token = canary
		}
		f := openStandIn(t, s, func(o *Options) {
			o.Token, o.Log = secret.Value(token), slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		w.Open(forgetest.Opening{Files: change(1)})
		check := func(what string, is func(error) bool) {
			t.Helper()
			for method, err := range everything(t, f) {
				if err == nil || !is(err) || strings.Contains(fmt.Sprintf("%v %#v", err, err), canary) {
					t.Errorf("%s: %s: %v", what, method, err)
				}
			}
			s.Breakable().Heal()
		}
		check("wrong token", func(err error) bool { return errors.Is(err, ErrDenied) })
		s.Breakable().Break(forgetest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"90"}}})
		check("rate limit", func(err error) bool {
			limit, ok := errors.AsType[*RateLimitError](err)
			return ok && time.Until(limit.Until) > 0 && time.Until(limit.Until) <= 90*time.Second
		})
		s.Breakable().Break(forgetest.Fault{Status: http.StatusBadGateway, Body: "<html>Bearer " + canary})
		check("bad gateway", func(err error) bool {
			failed, ok := errors.AsType[*StatusError](err)
			return ok && failed.Code == http.StatusBadGateway
		})
		if asked := s.Breakable().Requests(); len(asked) > 60 {
			t.Errorf("%d requests for a few failures: something tries again", len(asked))
		}
		s.Breakable().Break(forgetest.Fault{Status: http.StatusOK, Body: `{"values": [[`})
		check("broken answer", func(err error) bool { return true })
		stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the stranger got %v", r.Header) }))
		defer stranger.Close()
		s.Breakable().Break(forgetest.Fault{Status: http.StatusFound, Header: http.Header{"Location": {stranger.URL}}})
		check("redirect", func(err error) bool { return strings.Contains(err.Error(), "set forge.url") })
		if strings.Contains(log.String(), canary) || log.Len() == 0 {
			t.Errorf("log: %s", log.String())
		}
	})
}

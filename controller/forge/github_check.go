package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-github/v89/github"
)

// The rights that Pacer needs, as the settings of Apps and of fine-grained tokens name
// them under "Repository permissions", and what for.
const (
	gitHubContents = `the repository permission "Contents: Read-only", to compare branches`
	gitHubPulls    = `the repository permission "Pull requests: Read and write", to comment on pull requests and to remove their label`
	gitHubStatuses = `the repository permission "Commit statuses: Read and write", to set the status of commits`
	gitHubChecks   = `the repository permission "Checks: Read and write", to show problems at their lines`
)

// Check finds out the rights of a token by its kind:
//
//	an App                    GitHub lists its permissions with each token
//	a classic token           X-OAuth-Scopes lists its scopes; besides them counts what its user may do
//	a fine-grained token      nothing lists its permissions: requests are made that change nothing
func (g *gitHub) Check(ctx context.Context) (lacking []string, err error) {
	if g.app != nil {
		lacking, err = g.app.check(ctx)
		if err != nil {
			return nil, fmt.Errorf("check the rights at %s: %w", g, err)
		}
	}
	repo, resp, err := g.client.Repositories.Get(ctx, g.owner, g.name)
	if errors.Is(err, ErrNotFound) {
		return append(lacking, g.unseen()), nil
	}
	if err == nil && repo == nil {
		err = errors.New("answer is empty")
	}
	switch {
	case err != nil:
	case repo.GetArchived(): // which refuses each write, so that no right can be tried
		return append(lacking, fmt.Sprintf("a repository that can be written to: %s is archived", g)), nil
	case g.app == nil:
		lacking, err = g.checkToken(ctx, repo, resp.Header)
	}
	if err != nil {
		return nil, fmt.Errorf("check the rights at %s: %w", g, plain(err))
	}
	return lacking, nil
}

// unseen says what is lacking where GitHub does not show a repository.
func (g *gitHub) unseen() string {
	if g.app != nil {
		return fmt.Sprintf("access to %s: add it under \"Repository access\" of installation %d, or correct the repository's URL", g, g.app.installation)
	}
	return fmt.Sprintf("access to %s: give the token the scope \"repo\" (classic) or add the repository under \"Repository access\" (fine-grained), or correct the repository's URL", g)
}

// check names the permissions that the installation lacks. It asks for a new token, whose
// permissions are those of now.
func (a *gitHubApp) check(ctx context.Context) (lacking []string, err error) {
	if err := a.forget(ctx, 0); err != nil {
		return nil, err
	}
	token, _, err := a.current(ctx)
	if err != nil {
		return nil, err
	}
	p := token.GetPermissions()
	for _, right := range []struct {
		has   string
		least string
		name  string
	}{
		{p.GetContents(), "read", gitHubContents},
		{p.GetPullRequests(), "write", gitHubPulls},
		{p.GetStatuses(), "write", gitHubStatuses},
		{p.GetChecks(), "write", gitHubChecks},
	} {
		if right.has != "write" && right.has != right.least {
			lacking = append(lacking, right.name)
		}
	}
	return lacking, nil
}

// checkToken names what a personal access token lacks, and its user's role.
func (g *gitHub) checkToken(ctx context.Context, repo *github.Repository, h http.Header) (lacking []string, err error) {
	if scopes, classic := h[http.CanonicalHeaderKey("X-OAuth-Scopes")]; classic {
		lacking = lackingScope(strings.Join(scopes, ","), repo.GetPrivate())
	} else if lacking, err = g.checkFineGrained(ctx, repo); err != nil {
		return nil, err
	}
	if _, err := g.whoAmI(ctx); errors.Is(err, ErrDenied) {
		lacking = append(lacking, "a user to whom the token belongs, so that Pacer finds its own comments: use a personal access token, or app instead of the token of an App")
	} else if err != nil {
		return nil, err
	}
	if repo.Permissions != nil && !repo.Permissions.GetPush() {
		lacking = append(lacking, fmt.Sprintf("the role \"Write\" of the token's user in %s, under \"Collaborators and teams\", to set the status of commits", g))
	}
	return lacking, nil
}

// lackingScope names the scope that a classic token lacks. public_repo has all that Pacer
// needs of public repositories.
func lackingScope(scopes string, private bool) []string {
	has := strings.FieldsFunc(scopes, func(r rune) bool { return r == ',' || r == ' ' })
	switch {
	case slices.Contains(has, "repo"), !private && slices.Contains(has, "public_repo"):
		return nil
	case private:
		return []string{`the scope "repo", to read and comment on pull requests and to set the status of commits`}
	}
	return []string{`the scope "public_repo", to comment on pull requests and to set the status of commits`}
}

// checkFineGrained makes requests that change nothing, for each permission: a read, and a
// write of what is not there. GitHub refuses with 403, before it looks for what is named,
// where the permission is lacking.
func (g *gitHub) checkFineGrained(ctx context.Context, repo *github.Repository) (lacking []string, err error) {
	number := 0 // of some pull request
	for _, right := range []struct {
		name string
		try  []func() error
	}{
		{gitHubContents, []func() error{func() error {
			_, _, err := g.client.Repositories.ListCommits(ctx, g.owner, g.name, &github.CommitsListOptions{ListOptions: github.ListOptions{PerPage: 1}})
			return err
		}}},
		{gitHubPulls, []func() error{func() error {
			pulls, _, err := g.client.PullRequests.List(ctx, g.owner, g.name, &github.PullRequestListOptions{State: "all", ListOptions: github.ListOptions{PerPage: 1}})
			if len(pulls) > 0 {
				number = pulls[0].GetNumber()
			}
			return err
		}, func() error {
			if number == 0 {
				return nil // there is nothing to try it with
			}
			_, err := g.client.Issues.RemoveLabelForIssue(ctx, g.owner, g.name, number, "pacer-check-no-such-label")
			return err
		}}},
		{gitHubStatuses, []func() error{func() error {
			_, _, err := g.client.Repositories.GetCombinedStatus(ctx, g.owner, g.name, repo.GetDefaultBranch(), &github.ListOptions{PerPage: 1})
			return err
		}, func() error {
			_, _, err := g.client.Repositories.CreateStatus(ctx, g.owner, g.name, strings.Repeat("0", 40), github.RepoStatus{State: new("pending"), Context: new("pacer/check")})
			return err
		}}},
	} {
		denied, err := anyDenied(right.try)
		if err != nil {
			return nil, err
		}
		if denied {
			lacking = append(lacking, right.name)
		}
	}
	return lacking, nil
}

// anyDenied reports whether one of several requests is refused for lack of a right. That it
// fails since something is not there is no error.
func anyDenied(try []func() error) (bool, error) {
	for _, one := range try {
		err := one()
		failed, ok := errors.AsType[*StatusError](err)
		switch {
		case errors.Is(err, ErrDenied) && ok && failed.Code == http.StatusForbidden:
			return true, nil
		case ok && !failed.limited && slices.Contains([]int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}, failed.Code):
		case err != nil:
			return false, plain(err)
		}
	}
	return false, nil
}

package forge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"code.gitea.io/sdk/gitea"
)

// giteaSettings is where a token of Gitea is made.
const giteaSettings = "generate a token under Settings, Applications, Manage Access Tokens"

// Check asks for something that needs each right. Gitea does not say what a token may,
// but refuses before it looks for what is asked for, so that asking to write what cannot
// be there finds it out and changes nothing:
//
//	asked                                       right
//	GET    /user                                user: Read
//	GET    /repos/OWNER/NAME                    repository: Read, and that its user sees it
//	  its permissions                           that its user may push, so set a status
//	DELETE /repos/OWNER/NAME/pulls/0/merge      repository: Read and Write
//	PATCH  /repos/OWNER/NAME/issues/comments/0  issue: Read and Write
func (f *giteaForge) Check(ctx context.Context) (lacking []string, err error) {
	c, user := f.client(ctx), "its user"
	lack := func(format string, args ...any) { lacking = append(lacking, fmt.Sprintf(format, args...)) }
	// scope notes a scope that an answer says the token lacks, and returns other errors.
	scope := func(name, level, purpose string, err error) error {
		if giteaRefused(err, http.StatusForbidden, "required scope") {
			lack("the token's permission %q must be %q, to %s; %s", name, level, purpose, giteaSettings)
			return nil
		}
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		return plain(err)
	}
	const readWrite = "Read and Write"

	me, _, err := c.GetMyUserInfo()
	if giteaRefused(err, http.StatusUnauthorized, "") {
		lack("the token is not valid: it was deleted, or is another server's; %s", giteaSettings)
		return lacking, nil
	}
	if err := scope("user", "Read", "know its own comments", err); err != nil {
		return nil, fmt.Errorf("ask whose the token is: %w", err)
	}
	if err == nil {
		user = "user " + me.UserName
	}
	r, _, err := c.GetRepo(f.owner, f.name)
	switch {
	case errors.Is(err, ErrNotFound):
		lack("repository %s does not exist, or %s may not see it: see the repository's Settings, Collaborators", f, user)
		return lacking, nil
	case giteaRefused(err, http.StatusForbidden, "public"):
		lack("the token sees only public repositories; %s with access to all", giteaSettings)
		return lacking, nil
	case err == nil && r.Archived:
		lack("the repository is archived: nothing can be written there")
		return lacking, nil
	case err == nil:
		if !r.HasPullRequests {
			lack("the repository has no pull requests: enable them under the repository's Settings, Units")
		}
		if r.Permissions == nil || !r.Permissions.Push {
			lack("%s may only read the repository, and needs Write to set statuses: see the repository's Settings, Collaborators, or its team's access to Code", user)
		}
		_, err = c.CancelScheduledAutoMerge(f.owner, f.name, 0)
	}
	if err := scope("repository", readWrite, "read pull requests and set statuses", err); err != nil {
		return nil, fmt.Errorf("ask for repository %s: %w", f, err)
	}
	_, _, err = c.EditIssueComment(f.owner, f.name, 0, gitea.EditIssueCommentOption{Body: "-"})
	if err := scope("issue", readWrite, "write comments and remove labels", err); err != nil {
		return nil, fmt.Errorf("ask for the comments of %s: %w", f, err)
	}
	return lacking, nil
}

// giteaRefused reports whether an answer has a code, and a reason which contains some
// words.
func giteaRefused(err error, code int, words string) bool {
	failed, ok := errors.AsType[*StatusError](err)
	return ok && failed.Code == code && strings.Contains(failed.Reason, words)
}

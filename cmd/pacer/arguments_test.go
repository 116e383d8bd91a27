package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// wrongLines are command lines that are not right, and what is said of each: what is
// missing or too much, and an example that works. Each verb is among them.
var wrongLines = map[string]string{
	"apply":                    "SOURCE is missing: a directory or a git URL, as in: pacer apply ./apps; or, for the syncs of a configuration: pacer apply --config pacer.yaml",
	"apply a b":                "expected one SOURCE, found a and b",
	"approve":                  "the name of a SYNC is missing, as in: pacer approve shop /shop/cart (pacer status lists the syncs)",
	"check":                    "--config is missing, as in: pacer check --config pacer.yaml",
	"check pacer.yaml":         `pacer check takes no arguments, found "pacer.yaml": see pacer check --help`,
	"demo x":                   `pacer demo takes no arguments, found "x": see pacer demo --help`,
	"diff":                     "the name of a SYNC is missing, as in: pacer diff shop (pacer status lists the syncs)",
	"explain cpus mem":         `pacer explain takes at most 1 of the arguments "cpus" "mem", as in: pacer explain container.docker.image`,
	"export":                   "--out is missing, as in: pacer export --out apps --scope /shop",
	"export apps":              `pacer export takes no arguments, found "apps": see pacer export --help`,
	"history":                  "the name of a SYNC is missing, as in: pacer history shop (pacer status lists the syncs)",
	"history shop billing":     `pacer history takes at most 1 of the arguments "shop" "billing", as in: pacer history shop`,
	"local x":                  `pacer local takes no arguments, found "x": see pacer local --help`,
	"plan":                     "SOURCE is missing: a directory or a git URL, as in: pacer plan ./apps; or, for the syncs of a configuration: pacer plan --config pacer.yaml",
	"plan apps -o":             "flag needs an argument: 'o' in -o: see pacer plan --help",
	"render":                   "SOURCE is missing: a directory or a git URL, as in: pacer render ./apps",
	"resume":                   "the name of a SYNC is missing, as in: pacer resume shop (pacer status lists the syncs)",
	"rollback":                 "the name of a SYNC is missing, as in: pacer rollback shop 3f9c2a71 (pacer status lists the syncs)",
	"rollback shop 3f9c2a71 x": `pacer rollback takes at most 2 of the arguments "shop" "3f9c2a71" "x", as in: pacer rollback shop 3f9c2a71`,
	"run":                      "--config is missing, as in: pacer run --config pacer.yaml",
	"run pacer.yaml":           `pacer run takes no arguments, found "pacer.yaml": see pacer run --help`,
	"status --serve x":         "unknown flag: --serve: see pacer status --help",
	"store dump":               `pacer store has no command "dump"; it has: show, copy`,
	"store copy":               "--config is missing, as in: pacer store copy --config pacer.yaml",
	"store copy --config x":    "--from is missing, as in: pacer store copy --config pacer.yaml --from file --to zookeeper",
	"store show":               "--config is missing, as in: pacer store show --config pacer.yaml",
	"suspend":                  "the name of a SYNC is missing, as in: pacer suspend shop (pacer status lists the syncs)",
	"sync":                     "the name of a SYNC is missing, as in: pacer sync shop (pacer status lists the syncs)",
	"validate":                 "SOURCE is missing: a directory or a git URL, as in: pacer validate ./apps",
	"version x":                `pacer version takes no arguments, found "x": see pacer version --help`,
	"wait --timeout soon":      `invalid argument "soon" for "--timeout" flag: time: invalid duration "soon": see pacer wait --help`,
	"statsu":                   `unknown command "statsu" for "pacer"`,
}

func TestWrongCommandLines(t *testing.T) {
	t.Setenv("PACER_SERVER", "http://127.0.0.1:1") // no verb may come so far as to ask
	verbs := map[string]bool{}
	for line, want := range wrongLines {
		verbs[strings.Fields(line)[0]] = true
		var out, errs strings.Builder
		code := run(t.Context(), strings.Fields(line), nil, &out, &errs)
		if said := errs.String(); code != exitError || !strings.HasPrefix(said, "pacer: "+want) || out.String() != "" {
			t.Errorf("pacer %s: exit code %d, says %s%s", line, code, out.String(), said)
		} else if strings.Contains(said, "arg(s)") || strings.Contains(said, "flag(s)") {
			t.Errorf("pacer %s: %s", line, said)
		}
	}
	for _, c := range newRoot().Commands() {
		if !c.Hidden && !verbs[c.Name()] {
			t.Errorf("no wrong command line of %s is tried", c.Name())
		}
	}
}

// askingVerbs are those that ask a running Pacer, with arguments that are right.
func askingVerbs(t *testing.T) [][]string {
	t.Helper()
	lines := [][]string{
		{"status"}, {"history", "shop"}, {"diff", "shop"}, {"wait"}, {"sync", "shop"}, {"suspend", "shop"}, {"resume", "shop"},
		{"rollback", "shop"}, {"approve", "shop"},
	}
	listed := map[string]bool{}
	for _, l := range lines {
		listed[l[0]] = true
	}
	var each func(*cobra.Command)
	each = func(above *cobra.Command) {
		for _, c := range above.Commands() {
			if c.Flags().Lookup("server") != nil && !listed[c.Name()] {
				t.Errorf("%s asks a running Pacer, and is not tried", c.CommandPath())
			}
			each(c)
		}
	}
	each(newRoot())
	return lines
}

// TestAnswersOfWhatIsNoPacer: each verb says what it was answered, by whom, and what to
// do; of what does not reach a Pacer too.
func TestAnswersOfWhatIsNoPacer(t *testing.T) {
	answers := map[string]struct {
		code       int
		kind, body string
		says       []string
		token      string
	}{
		"a token is needed":     {401, "application/json", `{"message": "a token is needed for this"}`, []string{"requires a token: set it with --token-file or PACER_TOKEN"}, ""},
		"another token":         {401, "application/json", `{"message": "a token is needed for this"}`, []string{"does not accept this token: set another with --token-file or PACER_TOKEN"}, "correct-horse"},
		"a login of a proxy":    {401, "text/html", "<h1>Log in</h1>", []string{"answers 401 Unauthorized with a web page", "is this a Pacer? --server or PACER_SERVER"}, "correct-horse"},
		"not for this token":    {403, "application/json", `{"message": "this token is for reading"}`, []string{"this token is for reading"}, "correct-horse"},
		"a name of a stranger":  {421, "application/json", `{"message": "the Host is not a name of this server"}`, []string{"the Host is not a name of this server"}, ""},
		"tokens cannot be read": {503, "application/json", `{"message": "cannot read the tokens; see the log"}`, []string{"cannot read the tokens; see the log"}, ""},
		"a gateway":             {503, "text/html; charset=utf-8", "<h1>503</h1>", []string{"answers 503 Service Unavailable with a web page", "is this a Pacer?"}, ""},
		"something else":        {500, "text/plain", "no", []string{"answers 500 Internal Server Error: is this a Pacer?"}, ""},
	}
	for name, test := range answers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.kind)
			w.WriteHeader(test.code)
			fmt.Fprint(w, test.body)
		}))
		t.Setenv("PACER_TOKEN", test.token)
		for _, line := range askingVerbs(t) {
			var out, errs strings.Builder
			code := run(t.Context(), append(line, "--server", server.URL), nil, &out, &errs)
			for _, want := range test.says {
				if code != exitError || !strings.Contains(errs.String(), want) || strings.Contains(errs.String(), "correct-horse") {
					t.Errorf("%s: %v: exit code %d, says %s", name, line, code, errs.String())
				}
			}
		}
		server.Close()
	}
}

// TestServerURL: a URL that is not one, or that has a password, is refused before
// anything is asked; the password is not repeated.
func TestServerURL(t *testing.T) {
	for given, want := range map[string]string{
		"pacer:9090":                      `"pacer:9090" has no scheme: write http://pacer:9090, or https://pacer:9090`,
		"127.0.0.1:9090":                  `"127.0.0.1:9090" has no scheme: write http://127.0.0.1:9090, or`,
		"pacer":                           `"pacer" has no scheme: write http://pacer, or`,
		"ftp://pacer":                     `expected an http or https URL such as http://127.0.0.1:9090, found "ftp://pacer"`,
		"http://":                         `expected an http or https URL`,
		"http://pacer:port":               `expected an http or https URL`,
		"http://pacer/?x=1":               `expected a URL without ? and #`,
		"http://x:correct-horse@pacer":    "contains a user or password: give the URL without, and the token with --token-file or PACER_TOKEN",
		"http://x:correct-horse%@pacer":   "contains a user or password",
		"x:correct-horse@127.0.0.1:9090":  "contains a user or password",
		"http://correct-horse@pacer:9090": "contains a user or password",
	} {
		for _, line := range askingVerbs(t) {
			for _, from := range []string{"--server", "PACER_SERVER"} {
				args := line
				if from == "--server" {
					t.Setenv("PACER_SERVER", "")
					args = append(args, "--server", given)
				} else {
					t.Setenv("PACER_SERVER", given)
				}
				var out, errs strings.Builder
				code := run(t.Context(), args, nil, &out, &errs)
				if said := errs.String(); code != exitError || !strings.Contains(said, want) || !strings.HasPrefix(said, "pacer: "+from) || strings.Contains(said, "correct-horse") {
					t.Errorf("%v with %s %s: exit code %d, says %s", line, from, given, code, said)
				}
			}
		}
	}
}

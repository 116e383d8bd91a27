package web

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/pacer-gitops/pacer/controller"
	"github.com/pacer-gitops/pacer/controller/plan"
	"github.com/pacer-gitops/pacer/controller/status"
	"github.com/pacer-gitops/pacer/controller/store"
	"github.com/pacer-gitops/pacer/controller/web/browsertest"
	"github.com/pacer-gitops/pacer/internal/testenv"
	"github.com/pacer-gitops/pacer/secret"
)

var screenshots = flag.String("screenshots", "", "folder to write pictures of the page to")

// set calls a command of the browser.
func set[P any](t *testing.T, ctx context.Context, command cdp.Command[P, cdp.Empty], params P) {
	t.Helper()
	if _, err := chromedp.Call(ctx, command, params); err != nil {
		t.Fatal(err)
	}
}

// live is a controller whose status changes when it is asked to sync.
type live struct {
	mu     sync.Mutex
	status status.Status
	asked  []string
}

func (l *live) get() status.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *live) set(s status.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status = s
}

func (l *live) trigger(name string, _ store.Asked) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, name)
	next := shopSync()
	next.Apps = next.Apps[:2]
	next.Apps[0].Reason = "the button worked"
	l.status.Syncs = []status.Sync{next}
	return nil
}

// act notes what else a button asks for, and shows the sync rolled back from then
// on, or not.
func (l *live) act(asked string, rolledBack bool, by store.Asked) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, asked)
	next := shopSync()
	if rolledBack {
		next = rolledBackSync()
	}
	if next.Suspended = asked == "suspend shop"; next.Suspended {
		next.Suspension = &store.Suspension{By: by, At: noon}
	}
	l.status.Syncs = []status.Sync{next}
	return nil
}

func (l *live) rollback(_ context.Context, name string, to controller.Rollback, by store.Asked) (store.Pin, error) {
	if by.Reason == "no" {
		return store.Pin{}, fmt.Errorf("%w: these are kept: none", controller.ErrConflict)
	}
	return store.Pin{}, l.act("rollback "+name+" "+to.Revision+" "+by.Reason, true, by)
}

func serve(t *testing.T, l *live) string {
	t.Helper()
	server := httptest.NewServer(l.handler(Tokens{}))
	t.Cleanup(server.Close)
	return server.URL
}

// handler serves the page with tokens, or without.
func (l *live) handler(tokens Tokens) http.Handler {
	act := func(verb string, rolledBack bool) func(context.Context, string, store.Asked) error {
		return func(_ context.Context, name string, by store.Asked) error {
			by.Address = "" // of this machine
			return l.act(verb+" "+name, rolledBack, by)
		}
	}
	return New(Options{
		Tokens: tokens, Status: l.get, Trigger: l.trigger, Rollback: l.rollback, Version: "v1.2.3",
		Suspend: act("suspend", false), Resume: act("resume", false), Release: act("release", false),
		Approve: func(_ context.Context, name string, ids []string, revision string, by store.Asked) error {
			return l.act(fmt.Sprintf("approve %s %v %.8s", name, ids, revision), true, by)
		},
		Diff: func(context.Context, string, []string) (plan.Plan, error) {
			return plan.Plan{Summary: plan.Summary{None: 1}}, nil
		},
	})
}

func TestBrowserKeepsHostileTextInert(t *testing.T) {
	ctx, complaints := browsertest.Start(t)
	l := &live{status: sampleStatus()}
	url := serve(t, l)

	browsertest.Must(t, ctx, chromedp.Navigate(url))
	browsertest.Must(t, ctx, chromedp.WaitVisible("#sync-evil"))
	text := browsertest.Must(t, ctx, chromedp.Text("main"))
	elements := browsertest.Must(t, ctx, chromedp.Evaluate[int](`document.querySelectorAll("main script, main img, main [onerror]").length`))
	links := browsertest.Must(t, ctx, chromedp.Evaluate[int](`[...document.querySelectorAll("a")].filter(a => !/^https?:/.test(a.href)).length`))
	title := browsertest.Must(t, ctx, chromedp.Title())
	if !strings.Contains(title, "Pacer") || strings.Contains(title, "owned") {
		t.Errorf("title is %q: text of the repository ran as code", title)
	}
	if elements != 0 || links != 0 {
		t.Errorf("%d elements and %d links came out of hostile text", elements, links)
	}
	if !strings.Contains(text, "<script>document.title='owned'</script>") {
		t.Error("hostile text is not shown as text")
	}
	if said := complaints.All(); len(said) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(said, "\n"))
	}
}

func TestBrowserButtonSyncsAndPageRefreshes(t *testing.T) {
	ctx, complaints := browsertest.Start(t)
	l := &live{status: sampleStatus()}
	url := serve(t, l)

	browsertest.Must(t, ctx, chromedp.Navigate(url))
	browsertest.Must(t, ctx, chromedp.WaitVisible("#sync-billing"))
	browsertest.Must(t, ctx, chromedp.Click(`[aria-label="Sync shop now"]`))
	browsertest.Must(t, ctx, chromedp.WaitNotPresent("#sync-billing")) // the page took over the new state by itself
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//*[contains(text(), "the button worked")]`))
	l.mu.Lock()
	asked := strings.Join(l.asked, " ")
	l.mu.Unlock()
	if asked != "shop" {
		t.Errorf("the button asked for %q, want one pass of shop", asked)
	}
	if said := complaints.All(); len(said) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(said, "\n"))
	}
}

// Every button of the page does what it says, and what is being written is not
// taken away by a refresh.
func TestBrowserButtons(t *testing.T) {
	ctx, complaints := browsertest.Start(t)
	l := &live{status: status.Status{Now: noon, Running: true, Syncs: []status.Sync{shopSync()}}}
	url := serve(t, l)
	back, reason := "Roll shop back to 1b2c3d4e", `[aria-label="Reason for rolling shop back to 1b2c3d4e"]`
	button := func(label string) string { return fmt.Sprintf(`[aria-label=%q]`, label) }

	browsertest.Must(t, ctx, chromedp.Navigate(url))
	browsertest.Must(t, ctx, chromedp.Click(button("Suspend shop …")))
	browsertest.Must(t, ctx, chromedp.SendKeys(button("Reason for suspending shop"), "the database moves"))
	browsertest.Must(t, ctx, chromedp.Click(button("Suspend shop")))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//p[contains(., "by person (page): suspend (the database moves)")]`))
	browsertest.Must(t, ctx, chromedp.Click(button("Resume shop")))
	browsertest.Must(t, ctx, chromedp.WaitVisible(button("Suspend shop …")))

	// A rollback that is refused says why; one that is not shows where the sync is held.
	browsertest.Must(t, ctx, chromedp.Click(button(back)))
	browsertest.Must(t, ctx, chromedp.SendKeys(reason, "no"))
	browsertest.Must(t, ctx, chromedp.Click(button("Pin shop to 1b2c3d4e")))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//*[@id="said"][contains(text(), "these are kept: none")]`))
	browsertest.Must(t, ctx, chromedp.WaitNotPresent(`//button[text()="Refused"]`)) // the page is as it was
	browsertest.Must(t, ctx, chromedp.SendKeys(reason, " matter: it "))             // what was refused stays, and can be written on
	browsertest.Must(t, ctx, chromedp.Evaluate[int](`refresh(), 0`))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//*[@id="live"][text()="live"]`))
	browsertest.Must(t, ctx, chromedp.SendKeys(reason, "hangs"))
	browsertest.Must(t, ctx, chromedp.Click(button("Pin shop to 1b2c3d4e")))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//strong[contains(., "Rolled back to")]`))

	// A delete says first what is lost by it.
	browsertest.Must(t, ctx, chromedp.Click(button("Approve delete of /shop/legacy-import")))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//p[contains(., "Deletes the app /shop/legacy-import from Marathon, and stops its 1 running task.")]`))
	browsertest.Must(t, ctx, chromedp.Click(button("Delete /shop/legacy-import")))
	browsertest.Must(t, ctx, chromedp.WaitNotPresent(`//summary[text()="Requested"]`))
	browsertest.Must(t, ctx, chromedp.Click(button("Release shop")))
	browsertest.Must(t, ctx, chromedp.WaitNotPresent(button("Release shop")))
	l.mu.Lock()
	asked := strings.Join(l.asked, "; ")
	l.mu.Unlock()
	if want := "suspend shop; resume shop; rollback shop 1b2c3d4e77aa0f3344 no matter: it hangs; approve shop [/shop/legacy-import] 1b2c3d4e; release shop"; asked != want {
		t.Errorf("the buttons asked for %q, want %q", asked, want)
	}
	said := complaints.All()
	if len(said) != 1 || !strings.Contains(said[0], "409") { // the browser notes the refusal
		t.Errorf("the browser complains:\n%s", strings.Join(said, "\n"))
	}
	browsertest.Must(t, ctx, chromedp.Click(button("Diff of /shop/web")))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//*[contains(text(), "Plan: 0 to create")]`))
}

// TestBrowserKeepsTheFocus: a refresh takes the keyboard away from nothing, nor does
// it scroll, or close what was opened, whatever came and went around it.
func TestBrowserKeepsTheFocus(t *testing.T) {
	testenv.Long(t)
	ctx, complaints := browsertest.Start(t)
	rolled, held := rolledBackSync(), heldSync()
	l := &live{status: status.Status{Now: noon, Running: true, Syncs: []status.Sync{held, rolled}}}
	browsertest.Must(t, ctx, chromedp.Navigate(serve(t, l)))
	browsertest.Must(t, ctx, chromedp.WaitVisible("#sync-shop"))
	n := browsertest.Script[int](t, ctx, `clearTimeout(timer); // the test refreshes
		for (const d of document.querySelectorAll("details")) d.open = true;
		window.all = [...document.querySelectorAll("main a, main button, main summary, main input:not([type=hidden])")].filter(e => e.checkVisibility());
		scrollTo(0, 150); all.length`)
	if n < 15 {
		t.Fatalf("only %d elements can have the focus", n)
	}
	later := func(minutes int) status.Status { // other times, an app and a callout before all others, one gone
		s := l.get()
		s.Now = noon.Add(time.Duration(minutes) * time.Minute)
		held, rolled := heldSync(), rolledBackSync()
		held.Hold.Since = noon.Add(-time.Hour)
		if minutes%2 == 1 {
			held.Notes = []string{"a note"}
			rolled.Apps = append([]status.App{approvable("/shop/aaa")}, rolled.Apps[:1]...)
			rolled.Apps = append(rolled.Apps, rolledBackSync().Apps[2])
			rolled.SourceError = "cannot be read"
		}
		s.Syncs = []status.Sync{held, rolled}
		return s
	}
	for i := range n {
		for _, minutes := range []int{2*i + 1, 2*i + 2} {
			l.set(later(minutes))
			got := browsertest.Script[string](t, ctx, fmt.Sprintf(`(async () => {
				const e = all[%d];
				e.focus({preventScroll: true});
				const opened = document.querySelectorAll("details[open]").length;
				await refresh();
				clearTimeout(timer);
				const now = document.activeElement, name = e.ariaLabel || e.textContent;
				if (now !== e) return name + ": the focus went to " + (now.ariaLabel || now.nodeName);
				if (document.querySelectorAll("details[open]").length < opened) return name + ": something was closed";
				return "";
			})()`, i))
			if got != "" {
				t.Error(got)
			}
		}
	}
	// Where nothing above is other than it was, nothing moves.
	moved := browsertest.Script[string](t, ctx, `(async () => { const at = scrollY; await refresh(); return scrollY === at && at > 0 ? "" : at + " to " + scrollY; })()`)
	if moved != "" {
		t.Errorf("it scrolled from %s", moved)
	}
	if said := complaints.All(); len(said) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(said, "\n"))
	}
}

// TestBrowserKeyboard: who presses the page's buttons with the keyboard is then at
// what took the button's place, not at the top of the page.
func TestBrowserKeyboard(t *testing.T) {
	testenv.Long(t)
	ctx, _ := browsertest.Start(t)
	l := &live{status: status.Status{Now: noon, Running: true, Syncs: []status.Sync{rolledBackSync()}}}
	browsertest.Must(t, ctx, chromedp.Navigate(serve(t, l)))
	press := func(label string) {
		t.Helper()
		browsertest.Must(t, ctx, chromedp.WaitVisible(fmt.Sprintf(`[aria-label=%q]`, label)))
		browsertest.Must(t, ctx, chromedp.SendKeys(fmt.Sprintf(`[aria-label=%q]`, label), kb.Enter))
	}
	await := func(script string) {
		t.Helper()
		browsertest.Must(t, ctx, chromedp.Poll[bool](script, chromedp.WithPollingTimeout(0)))
	}
	press("Suspend shop …")
	press("Suspend shop")
	await(`document.activeElement.ariaLabel === "Resume shop"`)
	press("Resume shop")
	await(`document.activeElement.ariaLabel === "Suspend shop …"`)

	l.set(status.Status{Now: noon, Running: true, Syncs: []status.Sync{rolledBackSync()}})
	press("Approve delete of /shop/legacy-import")
	press("Delete /shop/legacy-import")
	await(`document.activeElement.ariaLabel === "Approve delete of /shop/legacy-import" && !document.querySelector(".confirm[open]")`)
	gone := rolledBackSync()
	gone.Apps = gone.Apps[:2]
	l.set(status.Status{Now: noon, Running: true, Syncs: []status.Sync{gone}})
	await(`!document.querySelector(".confirm") && document.activeElement.ariaLabel === null && document.activeElement.closest("section") !== null`)
}

// TestBrowserWithTheTokenInItsAddress: a page that was opened by http://any:TOKEN@host
// refreshes and acts as any other, though scripts may not ask such addresses.
func TestBrowserWithTheTokenInItsAddress(t *testing.T) {
	testenv.Long(t)
	ctx, complaints := browsertest.Start(t)
	l := &live{status: status.Status{Now: noon, Running: true, Syncs: []status.Sync{shopSync()}}}
	token := secret.Value("correct-horse")
	server := httptest.NewServer(l.handler(Tokens{Read: token, Act: token}))
	t.Cleanup(server.Close)

	browsertest.Must(t, ctx, chromedp.Navigate("http://any:correct-horse@"+strings.TrimPrefix(server.URL, "http://")))
	browsertest.Must(t, ctx, chromedp.WaitVisible("#sync-shop"))
	l.set(status.Status{Now: noon, Running: true, Syncs: []status.Sync{shopSync(), calmSync()}})
	browsertest.Must(t, ctx, chromedp.WaitVisible("#sync-billing"))
	browsertest.Must(t, ctx, chromedp.Click(`[aria-label="Sync shop now"]`))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//*[contains(text(), "the button worked")]`))
	if said := complaints.All(); len(said) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(said, "\n"))
	}
}

func TestBrowserWithoutScript(t *testing.T) {
	testenv.Long(t)
	ctx, _ := browsertest.Start(t)
	l := &live{status: sampleStatus()}
	url := serve(t, l)

	set(t, ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	browsertest.Must(t, ctx, chromedp.Navigate(url))
	browsertest.Must(t, ctx, chromedp.Click(`[aria-label="Sync shop now"]`))
	browsertest.Must(t, ctx, chromedp.WaitVisible(`//*[contains(text(), "the button worked")]`))
	at, text := browsertest.Must(t, ctx, chromedp.Location()), browsertest.Must(t, ctx, chromedp.Text("main"))
	if at != url+"/" || !strings.Contains(text, "/shop/checkout") {
		t.Errorf("without script the button leads to %s, want back to the page", at)
	}
}

func TestBrowserFitsNarrowScreens(t *testing.T) {
	testenv.Long(t)
	ctx, _ := browsertest.Start(t)
	status := sampleStatus()
	shop := status.Syncs[2]
	shop.Apps[0].ID = "/shop/" + strings.Repeat("very-long-name-", 20)
	url := serve(t, &live{status: status})
	for _, width := range []int64{320, 375, 768, 1280} {
		set(t, ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1})
		browsertest.Must(t, ctx, chromedp.Navigate(url))
		browsertest.Script[bool](t, ctx, `for (const d of document.querySelectorAll("details")) d.open = true; true`)
		excess := browsertest.Must(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
		if excess > 0 {
			t.Errorf("at %d pixels the page is %d wider than the screen", width, excess)
		}
	}
}

// TestBrowserPictures takes the pictures that a person looks at; it runs in
// every test run, so that the way to them does not rot.
func TestBrowserPictures(t *testing.T) {
	testenv.Long(t)
	folder := *screenshots
	if folder == "" {
		folder = t.TempDir()
	}
	ctx, _ := browsertest.Start(t)
	mixed := sampleStatus()
	mixed.Syncs = []status.Sync{calmSync(), shopSync(), startingSync()}
	odd := sampleStatus()
	odd.Syncs = []status.Sync{hostileSync()}
	odd.Marathon.Error = "GET http://m1:8080/v2/info: dial tcp 10.0.0.7:8080: connect: connection refused: check that Marathon runs and that marathon.url names it"
	calm := sampleStatus()
	calm.Syncs = []status.Sync{calmSync()}
	back := sampleStatus()
	back.Syncs = []status.Sync{rolledBackSync()}
	held := sampleStatus()
	held.Syncs = []status.Sync{heldSync()}
	asked := sampleStatus() // all that is confirmed is open
	asked.Syncs = []status.Sync{heldSync(), rolledBackSync()}
	empty := status.Status{Now: noon, Running: true, Marathon: calm.Marathon}
	for _, shot := range []struct {
		name   string
		status status.Status
		width  int64
		scheme string
	}{
		{"mixed-light", mixed, 1280, "light"}, {"mixed-dark", mixed, 1280, "dark"}, {"mixed-narrow", mixed, 390, "light"},
		{"hostile", odd, 1280, "light"}, {"calm", calm, 1280, "light"}, {"back", back, 1280, "light"}, {"empty", empty, 1280, "dark"},
		{"held", held, 1280, "light"}, {"held-dark", held, 1280, "dark"}, {"held-narrow", held, 400, "light"}, {"held-narrow-dark", held, 400, "dark"},
		{"asked", asked, 1280, "light"}, {"asked-dark", asked, 1280, "dark"}, {"asked-narrow", asked, 400, "light"}, {"asked-narrow-dark", asked, 400, "dark"},
	} {
		set(t, ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: shot.width, Height: 900, DeviceScaleFactor: 1})
		set(t, ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: shot.scheme}}})
		browsertest.Must(t, ctx, chromedp.Navigate(serve(t, &live{status: shot.status})))
		if strings.HasPrefix(shot.name, "asked") {
			browsertest.Script[bool](t, ctx, `for (const d of document.querySelectorAll(".confirm, .back")) d.open = true; true`)
		}
		picture := browsertest.Must(t, ctx, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(folder, shot.name+".png"), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

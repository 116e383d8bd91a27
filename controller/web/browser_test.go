package web

import (
	"context"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pacer-gitops/pacer/controller"
)

var screenshots = flag.String("screenshots", "", "folder to write pictures of the page to")

// complaints collects what the browser says is wrong: exceptions, refused
// loads, breaches of the policy, dialogs.
type complaints struct {
	mu   sync.Mutex
	said []string
}

func (c *complaints) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

func (c *complaints) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.said...)
}

func (c *complaints) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		c.add("exception: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		c.add("console: %s of %d values", e.Type, len(e.Args))
	case *cdplog.EventEntryAdded:
		c.add("log: %s %s", e.Entry.Source, e.Entry.Text)
	case *page.EventJavascriptDialogOpening:
		c.add("dialog: %s", e.Message)
	}
}

// browser starts a browser of its own that ends with the test.
func browser(t *testing.T) (context.Context, *complaints) {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	c := &complaints{}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("cannot start a browser (the package chromium is needed): %v", err)
	}
	if err := chromedp.Listen(ctx, c.listen); err != nil {
		t.Fatal(err)
	}
	for _, enable := range []cdp.Command[cdp.Empty, cdp.Empty]{cdplog.Enable, runtime.Enable} {
		if _, err := chromedp.Call(ctx, enable, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	return ctx, c
}

// must runs a step of a browser.
func must[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

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
	status controller.Status
	asked  []string
}

func (l *live) get() controller.Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

func (l *live) trigger(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, name)
	next := shopSync()
	next.Apps = next.Apps[:2]
	next.Apps[0].Reason = "the button worked"
	l.status.Syncs = []controller.SyncStatus{next}
	return nil
}

func serve(t *testing.T, l *live) string {
	t.Helper()
	server := httptest.NewServer(New(Options{Status: l.get, Trigger: l.trigger, Version: "v1.2.3"}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestBrowserKeepsHostileTextInert(t *testing.T) {
	ctx, complaints := browser(t)
	l := &live{status: sampleStatus()}
	url := serve(t, l)

	must(t, ctx, chromedp.Navigate(url))
	must(t, ctx, chromedp.WaitVisible("#sync-evil"))
	text := must(t, ctx, chromedp.Text("main"))
	elements := must(t, ctx, chromedp.Evaluate[int](`document.querySelectorAll("main script, main img, main [onerror]").length`))
	links := must(t, ctx, chromedp.Evaluate[int](`[...document.querySelectorAll("a")].filter(a => !/^https?:/.test(a.href)).length`))
	title := must(t, ctx, chromedp.Title())
	if !strings.Contains(title, "Pacer") || strings.Contains(title, "owned") {
		t.Errorf("title is %q: text of the repository ran as code", title)
	}
	if elements != 0 || links != 0 {
		t.Errorf("%d elements and %d links came out of hostile text", elements, links)
	}
	if !strings.Contains(text, "<script>document.title='owned'</script>") {
		t.Error("hostile text is not shown as text")
	}
	if said := complaints.all(); len(said) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(said, "\n"))
	}
}

func TestBrowserButtonSyncsAndPageRefreshes(t *testing.T) {
	ctx, complaints := browser(t)
	l := &live{status: sampleStatus()}
	url := serve(t, l)

	must(t, ctx, chromedp.Navigate(url))
	must(t, ctx, chromedp.WaitVisible("#sync-billing"))
	must(t, ctx, chromedp.Click(`[aria-label="Sync shop now"]`))
	must(t, ctx, chromedp.WaitNotPresent("#sync-billing")) // the page took over the new state by itself
	must(t, ctx, chromedp.WaitVisible(`//*[contains(text(), "the button worked")]`))
	l.mu.Lock()
	asked := strings.Join(l.asked, " ")
	l.mu.Unlock()
	if asked != "shop" {
		t.Errorf("the button asked for %q, want one pass of shop", asked)
	}
	if said := complaints.all(); len(said) > 0 {
		t.Errorf("the browser complains:\n%s", strings.Join(said, "\n"))
	}
}

func TestBrowserWithoutScript(t *testing.T) {
	ctx, _ := browser(t)
	l := &live{status: sampleStatus()}
	url := serve(t, l)

	set(t, ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	must(t, ctx, chromedp.Navigate(url))
	must(t, ctx, chromedp.Click(`[aria-label="Sync shop now"]`))
	must(t, ctx, chromedp.WaitVisible(`//*[contains(text(), "the button worked")]`))
	at, text := must(t, ctx, chromedp.Location()), must(t, ctx, chromedp.Text("main"))
	if at != url+"/" || !strings.Contains(text, "/shop/checkout") {
		t.Errorf("without script the button leads to %s, want back to the page", at)
	}
}

func TestBrowserFitsNarrowScreens(t *testing.T) {
	ctx, _ := browser(t)
	status := sampleStatus()
	shop := status.Syncs[2]
	shop.Apps[0].ID = "/shop/" + strings.Repeat("very-long-name-", 20)
	url := serve(t, &live{status: status})
	for _, width := range []int64{320, 375, 768, 1280} {
		set(t, ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1})
		must(t, ctx, chromedp.Navigate(url))
		excess := must(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - document.documentElement.clientWidth`))
		if excess > 0 {
			t.Errorf("at %d pixels the page is %d wider than the screen", width, excess)
		}
	}
}

// TestBrowserPictures takes the pictures that a person looks at; it runs in
// every test run, so that the way to them does not rot.
func TestBrowserPictures(t *testing.T) {
	folder := *screenshots
	if folder == "" {
		folder = t.TempDir()
	}
	ctx, _ := browser(t)
	mixed := sampleStatus()
	mixed.Syncs = []controller.SyncStatus{calmSync(), shopSync(), startingSync()}
	odd := sampleStatus()
	odd.Syncs = []controller.SyncStatus{hostileSync()}
	odd.Marathon.Error = "GET http://m1:8080/v2/info: dial tcp 10.0.0.7:8080: connect: connection refused: check that Marathon runs and that marathon.url names it"
	calm := sampleStatus()
	calm.Syncs = []controller.SyncStatus{calmSync()}
	empty := controller.Status{Now: noon, Running: true, Marathon: calm.Marathon}
	for _, shot := range []struct {
		name   string
		status controller.Status
		width  int64
		scheme string
	}{
		{"mixed-light", mixed, 1280, "light"}, {"mixed-dark", mixed, 1280, "dark"}, {"mixed-narrow", mixed, 390, "light"},
		{"hostile", odd, 1280, "light"}, {"calm", calm, 1280, "light"}, {"empty", empty, 1280, "dark"},
	} {
		set(t, ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: shot.width, Height: 900, DeviceScaleFactor: 1})
		set(t, ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: shot.scheme}}})
		must(t, ctx, chromedp.Navigate(serve(t, &live{status: shot.status})))
		picture := must(t, ctx, chromedp.FullScreenshot(100))
		if err := os.WriteFile(filepath.Join(folder, shot.name+".png"), picture, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

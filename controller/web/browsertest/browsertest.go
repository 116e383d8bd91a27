// Package browsertest gives tests a real browser, Chromium, each one of its own
// that ends with the test. It needs the package chromium. No product code may import it.
package browsertest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pacer-gitops/pacer/internal/testenv"
)

// Complaints collects what the browser says is wrong: exceptions, refused
// loads, breaches of the policy, dialogs.
type Complaints struct {
	mu   sync.Mutex
	said []string
}

func (c *Complaints) add(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// All returns the complaints up to now, oldest first.
func (c *Complaints) All() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.said...)
}

func (c *Complaints) listen(event any) {
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

// Start starts a browser with an open tab, which the context is of. More are
// further options, such as chromedp.Flag("host-resolver-rules", …).
func Start(t testing.TB, more ...chromedp.ExecAllocatorOption) (context.Context, *Complaints) {
	t.Helper()
	browser := testenv.Program(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(testenv.Patience),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.WindowSize(1280, 900))
	ctx, cancel := context.WithTimeout(t.Context(), 2*testenv.Patience)
	t.Cleanup(cancel)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, append(options, more...)...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	c := &Complaints{}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("cannot start %s: %v", browser, err)
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

// Must runs a step of a browser, and fails the test where it fails.
func Must[T any](t testing.TB, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Script runs a script in the open page and returns its value, awaited where it
// is a promise.
func Script[T any](t testing.TB, ctx context.Context, script string) T {
	t.Helper()
	return Must(t, ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

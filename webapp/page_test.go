package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// newBrowser starts a headless Chromium with scripts of pages switched off:
// the app has none, and must not come to need any.
func newBrowser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Fatal("no Chromium to test the page with: install it (apt-get install chromium)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path),
		chromedp.WSURLReadTimeout(patience),
		chromedp.Env("TMPDIR="+t.TempDir())) // Chromium does not tidy up behind itself
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancelTimeout := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancelTimeout)
	ctx, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancelAllocator)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	if err := chromedp.Do(ctx, scripts(false)); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// scripts switches the scripts of pages on or off.
func scripts(on bool) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled,
			emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	})
}

// scheme is what the visitor prefers: light or dark.
func scheme(name string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	})
}

func do(ctx context.Context, t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func ask[T any](ctx context.Context, t *testing.T, question chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, question)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// textOf is what a visitor reads in the element with this id.
func textOf(ctx context.Context, t *testing.T, id chromedp.ID) string {
	t.Helper()
	return ask(ctx, t, chromedp.Text(id))
}

// fill types a user into the form and sends it.
func fill(name, email string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(
		chromedp.Clear(chromedp.ID("name")), chromedp.SendKeys(chromedp.ID("name"), name),
		chromedp.Clear(chromedp.ID("email")), chromedp.SendKeys(chromedp.ID("email"), email),
		chromedp.Click(chromedp.CSS("button[type=submit]")),
	)
}

func TestPageInBrowser(t *testing.T) {
	ta := newTestApp(t)
	ctx := newBrowser(t)

	do(ctx, t, chromedp.Navigate(ta.url))
	if visits, users := textOf(ctx, t, "visits"), textOf(ctx, t, "user-count"); visits != "1" || users != "0" {
		t.Errorf("first: %s visits, %s users, want 1 and 0", visits, users)
	}

	do(ctx, t, fill("Ann <script>", "ann@example.org"), chromedp.WaitVisible(chromedp.ID("form-done")))
	if got := textOf(ctx, t, "form-done"); got != "Added Ann <script>." {
		t.Errorf("after adding: %q", got)
	}
	if list := textOf(ctx, t, "users"); !strings.Contains(list, "Ann <script>") || !strings.Contains(list, "ann@example.org") {
		t.Errorf("list after adding: %q", list)
	}
	visits, own, users := textOf(ctx, t, "visits"), textOf(ctx, t, "own-visits"), textOf(ctx, t, "user-count")
	if visits != "2" || own != "2" || users != "1" {
		t.Errorf("after adding: %s visits, %s own, %s users, want 2, 2 and 1", visits, own, users)
	}
	if location := ask(ctx, t, chromedp.Location()); !strings.HasSuffix(location, "/?added=1") {
		t.Errorf("after adding: at %s", location)
	}

	do(ctx, t, fill("Another", "ann@example.org"), chromedp.WaitVisible(chromedp.ID("form-error")))
	if got := textOf(ctx, t, "form-error"); got != "Email already exists" {
		t.Errorf("refused: %q", got)
	}
	if name := ask(ctx, t, chromedp.Value(chromedp.ID("name"))); name != "Another" {
		t.Errorf("refused: name in the form is %q", name)
	}
}

// Run with -artifacts to keep the pictures.
func TestPageFitsEveryWidth(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann Example", "ann@example.org")
	ta.mustAdd(t, strings.Repeat("W", 100), strings.Repeat("w", 88)+"@example.org")
	ta.mustAdd(t, "Zoë Ångström", "zoe@example.org")
	ctx := newBrowser(t)
	for _, view := range []struct {
		name   string
		width  int64
		path   string
		scheme string
	}{
		{"narrow", 360, "/?added=2", "light"},
		{"narrow-dark", 360, "/", "dark"},
		{"wide", 1280, "/?added=3", "light"},
		{"wide-dark", 1280, "/", "dark"},
	} {
		do(ctx, t, scripts(false), scheme(view.scheme), chromedp.EmulateViewport(view.width, 800),
			chromedp.Navigate(ta.url+view.path), chromedp.WaitVisible(chromedp.ID("users")))
		picture := ask(ctx, t, chromedp.FullScreenshot(100))
		do(ctx, t, scripts(true)) // for the question, not for the page
		if beyond := ask(ctx, t, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`)); beyond > 0 {
			t.Errorf("%s: %d pixels too wide", view.name, beyond)
		}
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), view.name+".png"), picture, 0o644); err != nil {
			t.Error(err)
		}
	}
}

func TestPageForm(t *testing.T) {
	ta := newTestApp(t)
	visitor := ta.visitor(t)
	got := visitor.post(t, "Ann", "ann@example.org")
	if got.status != 303 || got.header.Get("Location") != "/?added=1" {
		t.Errorf("success: %d to %q", got.status, got.header.Get("Location"))
	}
	for name, tc := range map[string]struct {
		name, email string
		status      int
		text        string
	}{
		"blank":     {" ", "b@example.org", 400, "Name and email required"},
		"known":     {"Ann", "ann@example.org", 409, "Email already exists"},
		"too large": {strings.Repeat("x", maxBody), "b@example.org", 413, "Request body is larger than 1 MiB"},
		"not UTF-8": {"\xff", "b@example.org", 400, "Name and email must be plain text"},
		"markup":    {`"><script>alert(1)</script>`, "no address", 400, "Email is not a valid address"},
	} {
		t.Run(name, func(t *testing.T) {
			got := visitor.post(t, tc.name, tc.email)
			if got.status != tc.status || !strings.Contains(got.body, tc.text) || !strings.Contains(got.body, `role="alert"`) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if strings.Contains(got.body, "<script") {
				t.Errorf("markup went through: %s", got.body)
			}
		})
	}
}

func TestPageEscapesUsers(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, `<script>alert("x")</script>`, `o'b&c+d@example.org`)
	got := ta.send(t, "GET", "/?added=1", "")
	if strings.Contains(got.body, "<script") || strings.Contains(got.body, "o'b") {
		t.Errorf("markup went through: %s", got.body)
	}
	if !strings.Contains(got.body, "o&#39;b&amp;c&#43;d@example.org") {
		t.Errorf("no address in %s", got.body)
	}
	if n := strings.Count(got.body, "&lt;script&gt;"); n != 2 { // in the list and as just added
		t.Errorf("the name is on the page %d times, want 2", n)
	}
	for _, path := range []string{"/?added=2", "/?added=x", "/?added=<script>"} {
		if got := ta.send(t, "GET", strings.ReplaceAll(path, "<", "%3C"), ""); got.status != 200 || strings.Contains(got.body, "form-done") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestStyleSheet(t *testing.T) {
	ta := newTestApp(t)
	got := ta.send(t, "GET", "/style.css", "")
	if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), "text/css") || got.body == "" {
		t.Errorf("%d %s", got.status, got.header.Get("Content-Type"))
	}
}

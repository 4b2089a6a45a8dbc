package main

import (
	"context"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

var tokenInput = regexp.MustCompile(`<input type="hidden" name="token" value="([^"]+)">`)

// tokenOf is the token of the form on a page.
func tokenOf(t *testing.T, page answer) string {
	t.Helper()
	found := tokenInput.FindStringSubmatch(page.body)
	if found == nil {
		t.Fatalf("no token in %d %s", page.status, page.body)
	}
	return found[1]
}

// visitor is a browser that has seen the page.
type visitor struct {
	ta    *testApp
	jar   *cookiejar.Jar
	token string
}

func (ta *testApp) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{ta: ta, jar: jar, token: tokenOf(t, sendTo(t, ta.url, jar, "GET", "/", ""))}
}

// post sends the form with what is typed into it.
func (v *visitor) post(t *testing.T, name, email string, header ...string) answer {
	t.Helper()
	form := url.Values{"name": {name}, "email": {email}, "token": {v.token}}
	return sendTo(t, v.ta.url, v.jar, "POST", "/", form.Encode(), append([]string{"Content-Type", formType}, header...)...)
}

const formExpired = "The form has expired, send it again"

// A form counts with the token of the session that it comes with, and with nothing else.
func TestFormToken(t *testing.T) {
	ta := newTestApp(t)
	ann, ben := ta.visitor(t), ta.visitor(t)
	if ann.token == ben.token || ann.token != ta.visitorAgain(t, ann) {
		t.Errorf("tokens %s, %s", ann.token, ben.token)
	}
	for name, forged := range map[string]*visitor{
		"no token":         {ta: ta, jar: ann.jar},
		"another's token":  {ta: ta, jar: ann.jar, token: ben.token},
		"cut short":        {ta: ta, jar: ann.jar, token: ann.token[:20]},
		"no session":       {ta: ta, token: ann.token},
		"neither":          {ta: ta},
		"session as token": {ta: ta, jar: ann.jar, token: sessionOf(t, ann)},
	} {
		t.Run(name, func(t *testing.T) {
			got := forged.post(t, "Eve", "eve@example.org")
			if got.status != 403 || !strings.Contains(got.body, formExpired) || !strings.Contains(got.body, `value="Eve"`) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	if emails, _ := ta.list(t); len(emails) != 0 {
		t.Fatalf("users are %q, want none", emails)
	}
	if got := ann.post(t, "Ann", "ann@example.org"); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := ann.post(t, "Another", "another@example.org"); got.status != 303 { // a second tab
		t.Errorf("%d %s", got.status, got.body)
	}
}

func (ta *testApp) visitorAgain(t *testing.T, v *visitor) string {
	t.Helper()
	return tokenOf(t, sendTo(t, ta.url, v.jar, "GET", "/", ""))
}

func sessionOf(t *testing.T, v *visitor) string {
	t.Helper()
	at, err := url.Parse(v.ta.url)
	if err != nil {
		t.Fatal(err)
	}
	for _, cookie := range v.jar.Cookies(at) {
		if cookie.Name == sessionCookie {
			return cookie.Value
		}
	}
	t.Fatal("no session")
	return ""
}

// A form that is refused for its token comes back with a good one, and with what was
// typed: sending it again is enough.
func TestExpiredFormCanBeSentAgain(t *testing.T) {
	ta := newTestApp(t)
	ann := ta.visitor(t)
	ann.token = "of another day"
	refused := ann.post(t, "Ann", "ann@example.org")
	ann.token = tokenOf(t, refused)
	if got := ann.post(t, "Ann", "ann@example.org"); got.status != 303 {
		t.Errorf("%d, then %d %s", refused.status, got.status, got.body)
	}
}

// The form works while Redis is away, and one that was open then works afterwards.
func TestFormTokenWithoutRedis(t *testing.T) {
	ta := newTestApp(t)
	before := ta.visitor(t)
	ta.redis.stop()
	during := ta.visitor(t)
	if again := ta.visitorAgain(t, during); again != during.token {
		t.Errorf("token %s, then %s", during.token, again)
	}
	if got := before.post(t, "Ann", "ann@example.org"); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := during.post(t, "Ben", "ben@example.org"); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
	ta.redis.start(t)
	if got := during.post(t, "Cleo", "cleo@example.org"); got.status != 303 {
		t.Errorf("%d %s", got.status, got.body)
	}
	// But Redis does not take over a session that it has not made.
	page := sendTo(t, ta.url, during.jar, "GET", "/", "")
	if tokenOf(t, page) == during.token {
		t.Error("the session that was made without Redis lives on")
	}
}

// Programs have no session and need no token.
func TestAPINeedsNoToken(t *testing.T) {
	ta := newTestApp(t)
	ta.mustAdd(t, "Ann", "ann@example.org")
	got := ta.send(t, "POST", "/users", `{"name":"Ben","email":"ben@example.org"}`, "Sec-Fetch-Site", "same-origin", "Cookie", "session="+strings.Repeat("a", 32))
	if got.status != 201 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// In a real browser: a form whose session has gone is refused with what was typed, and
// goes through when it is sent again.
func TestFormTokenInBrowser(t *testing.T) {
	ta := newTestApp(t)
	ctx := newBrowser(t)
	forget := chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, network.ClearBrowserCookies, cdp.Empty{})
		return err
	})
	do(ctx, t, chromedp.Navigate(ta.url), forget, fill("Ann", "ann@example.org"), chromedp.WaitVisible(chromedp.ID("form-error")))
	if got := textOf(ctx, t, "form-error"); got != formExpired {
		t.Errorf("the old form: %q", got)
	}
	if name := ask(ctx, t, chromedp.Value(chromedp.ID("name"))); name != "Ann" {
		t.Errorf("name in the form is %q", name)
	}
	do(ctx, t, chromedp.Click(chromedp.CSS("button[type=submit]")), chromedp.WaitVisible(chromedp.ID("form-done")))
	if got := textOf(ctx, t, "form-done"); got != "Added Ann." {
		t.Errorf("sent again: %q", got)
	}
}

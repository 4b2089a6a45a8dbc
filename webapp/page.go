package main

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// pageUsers is how many users the page lists; the API lists all.
const pageUsers = 100

//go:embed page.html style.css
var assets embed.FS

// pageView is what the page shows.
type pageView struct {
	counts      *visit // nil when Redis could not be asked
	token       string // of the form
	users       *cached[[]user]
	rows        *rows  // of users
	added       *user  // just added through the form
	err         string // why the form was refused
	name, email string // what it was sent with then
}

func parsePage() (nodes, error) {
	text, err := assets.ReadFile("page.html")
	if err != nil {
		return nil, fmt.Errorf("read page: %w", err)
	}
	page, err := parseTemplate("page.html", string(text))
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	return page, nil
}

// fields spells the view out for the template.
func (v pageView) fields() fields {
	const unknown = "unavailable"
	data := fields{
		"Visits": unknown, "OwnVisits": unknown, "UserCount": unknown,
		"Listed": v.users != nil, "Users": &rows{}, "Truncated": "", "Source": "",
		"Added": "", "Error": v.err, "Name": v.name, "Email": v.email, "Token": v.token,
		"MaxText": strconv.Itoa(maxText),
	}
	if v.counts != nil {
		data["Visits"] = strconv.FormatInt(v.counts.total, 10)
		data["OwnVisits"] = strconv.FormatInt(v.counts.own, 10)
	}
	if v.added != nil {
		data["Added"] = v.added.Name
	}
	if v.users != nil {
		all := v.users.value
		data["UserCount"] = strconv.Itoa(len(all))
		data["Source"] = source(v.users.hit)
		data["Users"] = v.rows
		if len(all) > pageUsers {
			data["Truncated"] = fmt.Sprintf("The newest %d of %d.", pageUsers, len(all))
		}
	}
	return data
}

// showPage is GET /: the page, 503 when it has to do without the users.
func (a *app) showPage(w http.ResponseWriter, r *http.Request) {
	a.render(w, r, http.StatusOK, pageView{})
}

// submitPage is POST /: the page's form. A user that was added is shown by
// GET, so that a reload adds nobody; a refusal is shown right away with what
// was typed.
func (a *app) submitPage(w http.ResponseWriter, r *http.Request) {
	var view pageView
	err := func() error {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if err := r.ParseForm(); err != nil {
			return bodyError(err)
		}
		view.name, view.email = r.PostForm.Get("name"), r.PostForm.Get("email")
		if err := a.sessions.checkFormToken(r); err != nil {
			return err
		}
		if err := a.writes.limit(w, r); err != nil {
			return err
		}
		added, err := a.addUser(r.Context(), view.name, view.email)
		if err != nil {
			return err
		}
		http.Redirect(w, r, fmt.Sprintf("/?added=%d", added.ID), http.StatusSeeOther)
		return nil
	}()
	if err != nil {
		code, text := a.explain(r, err)
		view.err = text
		a.render(w, r, code, view)
	}
}

// render fills in the counts and the users, asking both services at once, and
// sends the page with code, or with 503 where code is 200 and users are not to
// be had.
func (a *app) render(w http.ResponseWriter, r *http.Request, code int, view pageView) {
	var (
		seen      visit
		countErr  error
		users     cached[[]user]
		usersErr  error
		questions sync.WaitGroup
	)
	questions.Go(func() { seen, countErr = a.sessions.visit(r.Context(), r) })
	questions.Go(func() { users, usersErr = a.allUsers(r.Context()) })
	questions.Wait()

	if countErr == nil {
		view.counts = &seen
	} else {
		seen.session = a.sessions.uncounted(r)
	}
	setSessionCookie(w, r, seen.session)
	view.token = formToken(seen.session)
	if usersErr == nil {
		view.users, view.rows, view.added = &users, a.lastRows.of(users.value), added(r, users.value)
	} else if failed, _ := a.explain(r, usersErr); code == http.StatusOK {
		code = failed
	}

	var page bytes.Buffer
	if err := a.page.write(&page, view.fields()); err != nil {
		a.log.Error("render page", "error", err)
		writeError(w, http.StatusInternalServerError, "Internal error")
		return
	}
	maps.Copy(w.Header(), pageHeaders)
	w.WriteHeader(code)
	_, _ = w.Write(page.Bytes()) // that the client left is nobody's fault
}

// rowsMemory remembers the rows of the list that was shown last: spelling them out
// and writing them takes most of a page's time.
type rowsMemory struct{ last atomic.Pointer[shownList] }

type shownList struct {
	users []user
	rows  *rows
}

// of gives the rows of a list, the same ones for the very same list.
func (m *rowsMemory) of(users []user) *rows {
	if len(users) == 0 {
		return &rows{}
	}
	if last := m.last.Load(); last != nil && len(last.users) == len(users) && &last.users[0] == &users[0] {
		return last.rows
	}
	shown := &shownList{users: users, rows: &rows{items: newest(users)}}
	m.last.Store(shown)
	return shown.rows
}

// newest spells out the last users of a list by id, latest first.
func newest(users []user) []fields {
	var items []fields
	for _, u := range slices.Backward(users[max(0, len(users)-pageUsers):]) {
		items = append(items, fields{
			"ID":      strconv.Itoa(int(u.ID)),
			"Name":    u.Name,
			"Email":   u.Email,
			"Created": u.CreatedAt.Format(time.RFC3339),
			"When":    u.CreatedAt.Format("2 Jan 2006, 15:04"),
		})
	}
	return items
}

// added finds the user that the form's redirect speaks of.
func added(r *http.Request, users []user) *user {
	id, err := strconv.ParseInt(r.URL.Query().Get("added"), 10, 32)
	if err != nil {
		return nil
	}
	for i := range users {
		if int64(users[i].ID) == id {
			return &users[i]
		}
	}
	return nil
}

// showStyle is the page's style sheet.
func (a *app) showStyle(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=300")
	http.ServeFileFS(w, r, assets, "style.css")
}

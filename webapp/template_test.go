package main

import (
	"bytes"
	"html/template"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hostile is text that breaks out of an element or an attribute if it can.
const hostile = `</span><script>alert('1')</script><!--"onload=x' & &amp; + ` + "`\x00{{.Name}} \u2028"

// Package html/template knows where in the page a value stands and escapes for
// that place. That ours writes the same bytes shows that it does so as well.
func TestPageIsWhatHTMLTemplateMakesOfIt(t *testing.T) {
	text, err := assets.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := template.New("page.html").Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := parsePage()
	if err != nil {
		t.Fatal(err)
	}
	ann := user{ID: 1, Name: hostile, Email: hostile, CreatedAt: time.Unix(0, 0).UTC()}
	for name, view := range map[string]pageView{
		"nothing available": {},
		"no users":          {counts: &visit{total: 7, own: 1}, users: &cached[[]user]{}},
		"users":             {counts: &visit{}, users: &cached[[]user]{value: []user{ann, {Name: "Ben"}}, hit: true}, added: &ann},
		"many users":        {users: &cached[[]user]{value: make([]user, pageUsers+1)}},
		"refused":           {users: &cached[[]user]{}, err: hostile, name: hostile, email: hostile, token: hostile},
	} {
		t.Run(name, func(t *testing.T) {
			if view.users != nil {
				view.rows = new(rowsMemory).of(view.users.value)
			}
			data := view.fields()
			if list, ok := data["Users"].(*rows); ok {
				data["Users"] = list.items
			}
			var want bytes.Buffer
			if err := theirs.Execute(&want, data); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time from memory
				var got bytes.Buffer
				if err := ours.write(&got, view.fields()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want.String(), got.String()); diff != "" {
					t.Errorf("(-html/template +ours):\n%s", diff)
				}
			}
		})
	}
}

func TestRowsAreOfTheListThatIsShown(t *testing.T) {
	var memory rowsMemory
	ann, ben := []user{{Name: "Ann"}}, []user{{Name: "Ben"}}
	first := memory.of(ann)
	if memory.of(ann) != first {
		t.Error("the same list has rows of its own each time")
	}
	for _, users := range [][]user{ben, ann, {}, append(ann, ben...)} {
		list := memory.of(users)
		if len(list.items) != len(users) || len(users) > 0 && list.items[len(users)-1]["Name"] != users[0].Name {
			t.Errorf("rows of %v are %v", users, list.items)
		}
	}
}

func TestTemplateRefusesWhatItCannotDo(t *testing.T) {
	for _, text := range []string{
		"{{.A.B}}", "{{len .A}}", "{{.A | html}}", "{{with .A}}{{end}}", "{{$x := .A}}", "{{range .A}}{{else}}{{end}}",
		"{{if len .A}}{{end}}", "{{template \"x\"}}", "{{if .A}}", "{{range .A}}{{len .B}}{{end}}", "{{.}}",
	} {
		if _, err := parseTemplate("t", text); err == nil {
			t.Errorf("%s was accepted", text)
		}
	}
	for text, data := range map[string]fields{
		"{{.Name}}":                 {},
		"{{.Count}}":                {"Count": 1},
		"{{if .Nobody}}{{end}}":     {},
		"{{range .Nobody}}{{end}}":  {},
		"{{range .A}}{{.B}}{{end}}": {"A": &rows{items: []fields{{}}}},
	} {
		parsed, err := parseTemplate("t", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if err := parsed.write(&bytes.Buffer{}, data); err == nil || !strings.Contains(err.Error(), "field") {
			t.Errorf("%s with %v: %v, want an error about the field", text, data, err)
		}
	}
}

package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
)

// tokenField is the form's hidden field, as page.html has it.
const tokenField = "token"

// errFormToken is what a form without the visitor's token gets: it was open since
// before the session ended, or comes from somewhere else.
var errFormToken = errors.New("form token does not fit the session")

// formToken is what the page's form has to bring along. Who made the page knows it, and
// another site does not: it follows from the session's id, 128 random bits that only the
// visitor's browser and the app know, and does not give it away. So it needs no
// key, no memory and no Redis, and is the same for every instance.
func formToken(session string) string {
	sum := sha256.Sum256([]byte("form token of session " + session))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// checkFormToken compares the token of a form that has been parsed with that of the
// visitor's cookie. A form without a cookie is refused, too: browsers send forms of other
// sites without it.
func (s *sessions) checkFormToken(r *http.Request) error {
	session, ok := s.claimed(r)
	if !ok || subtle.ConstantTimeCompare([]byte(r.PostForm.Get(tokenField)), []byte(formToken(session))) != 1 {
		return errFormToken
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

// choice is a flag that takes one of a few words.
type choice[T ~string] struct {
	value   *T
	allowed []T
}

// newChoice makes a flag of what target holds now, which is the default.
func newChoice[T ~string](target *T, allowed ...T) pflag.Value {
	return &choice[T]{target, allowed}
}

func (c *choice[T]) String() string { return string(*c.value) }
func (c *choice[T]) Type() string   { return "string" }

func (c *choice[T]) Set(s string) error {
	if !slices.Contains(c.allowed, T(s)) {
		return fmt.Errorf("must be one of %s", strings.Join(c.choices(), ", "))
	}
	*c.value = T(s)
	return nil
}

func (c *choice[T]) choices() []string {
	out := make([]string, len(c.allowed))
	for i, a := range c.allowed {
		out[i] = string(a)
	}
	return out
}

// span is a flag that takes a time span: as Go writes it, or as plain seconds.
type span struct{ value **time.Duration }

func newSpan(target **time.Duration) pflag.Value { return &span{target} }

func (s *span) String() string {
	if s.value == nil || *s.value == nil {
		return ""
	}
	return (*s.value).String()
}

func (s *span) Type() string { return "duration" }

func (s *span) Set(text string) error {
	d, err := time.ParseDuration(text)
	if seconds, convErr := strconv.ParseUint(text, 10, 31); convErr == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 {
		return errors.New("must be seconds or a duration such as 1m30s")
	}
	*s.value = &d
	return nil
}

// scale is a flag that takes SERVICE=NUMBER, once for each service.
type scale map[string]int

func (s scale) String() string { return "" }
func (s scale) Type() string   { return "service=number" }

func (s scale) Set(text string) error {
	service, number, found := strings.Cut(text, "=")
	n, err := strconv.Atoi(number)
	if !found || service == "" || err != nil || n < 0 {
		return errors.New("must be SERVICE=NUMBER, such as web=3")
	}
	s[service] = n
	return nil
}

// tail is a flag that takes a number of lines, or all.
type tail struct{ value **int }

func newTail(target **int) pflag.Value { return &tail{target} }

func (t *tail) String() string {
	if t.value == nil || *t.value == nil {
		return "all"
	}
	return strconv.Itoa(**t.value)
}

func (t *tail) Type() string { return "string" }

func (t *tail) Set(text string) error {
	if text == "all" {
		*t.value = nil
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New("must be a number of lines, or all")
	}
	*t.value = &n
	return nil
}

// moment is a time that a flag means. The zero value is none.
type moment struct {
	at time.Time
	// ago is how long before now it is, where at is zero and isAgo set.
	ago   time.Duration
	isAgo bool
}

// on gives the moment by the engine's clock, which is that of its logs and events:
// another machine's may differ from this one's. Only "10m" has it asked for.
func (m moment) on(ctx context.Context, e engine.Observer) (time.Time, error) {
	if !m.isAgo {
		return m.at, nil
	}
	now, err := e.Now(ctx)
	return now.Add(-m.ago), err
}

// newMoment reads the time that a flag means: so long before now, a date in the
// user's zone, or the seconds since 1970, of which a small number is rather a span
// without its unit.
func newMoment(flag, text string, zone *time.Location) (moment, error) {
	if text == "" {
		return moment{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return moment{ago: d, isAgo: true}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		// A moment without a zone is meant in the user's own.
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return moment{at: t}, nil
		}
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 1e9 && seconds < 1e11 {
		whole := int64(seconds)
		return moment{at: time.Unix(whole, int64((seconds-float64(whole))*1e9))}, nil
	}
	return moment{}, &usageError{
		text: fmt.Sprintf("%s %q is neither a duration nor a time", flag, text),
		hint: "use 10m, 1h30m or 2006-01-02T15:04:05Z",
	}
}

package cli

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stackctl/stackctl/pkg/runner/engine"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"0": 0, "90": 90 * time.Second, "1m30s": 90 * time.Second, "250ms": 250 * time.Millisecond} {
		var got *time.Duration
		if err := newSpan(&got).Set(text); err != nil || *got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "-5s", "soon", "1.5", "99999999999"} {
		var got *time.Duration
		if err := newSpan(&got).Set(text); err == nil {
			t.Errorf("%q: got %v", text, *got)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	var got *int
	value := newTail(&got)
	if err := value.Set("20"); err != nil || *got != 20 || value.String() != "20" {
		t.Errorf("20: got %v, %v", got, err)
	}
	if err := value.Set("all"); err != nil || got != nil || value.String() != "all" {
		t.Errorf("all: got %v, %v", got, err)
	}
	for _, text := range []string{"", "-1", "few"} {
		if err := value.Set(text); err == nil {
			t.Errorf("%q: got %v", text, *got)
		}
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("there", 2*60*60)
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, zone)
	for text, want := range map[string]time.Time{
		"":                     {},
		"10m":                  now.Add(-10 * time.Minute),
		"1h30m":                now.Add(-90 * time.Minute),
		"2026-05-06T05:00:00Z": time.Date(2026, 5, 6, 5, 0, 0, 0, time.UTC),
		"2026-05-06T05:00:00":  time.Date(2026, 5, 6, 5, 0, 0, 0, zone),
		"2026-05-06":           time.Date(2026, 5, 6, 0, 0, 0, 0, zone),
	} {
		read, err := newMoment("--since", text, zone)
		if err != nil {
			t.Error(err)
		}
		if got, err := read.on(t.Context(), at{now: now}); err != nil || !got.Equal(want) {
			t.Errorf("%q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"10", "-10m", "yesterday"} {
		var usage *usageError
		if got, err := newMoment("--since", text, zone); !errors.As(err, &usage) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

// at is an engine with a clock.
type at struct {
	engine.Observer
	now time.Time
}

func (e at) Now(context.Context) (time.Time, error) { return e.now, nil }

package display

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Style colours text, or leaves it as it is when it is false.
type Style bool

// The colours are the terminal's own, so that they fit its theme.
func (s Style) paint(code, text string) string {
	if !s || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Green is for what is done, or appears.
func (s Style) Green(text string) string { return s.paint("32", text) }

// Red is for what failed, or disappears.
func (s Style) Red(text string) string { return s.paint("31", text) }

// Yellow is for warnings and changes.
func (s Style) Yellow(text string) string { return s.paint("33", text) }

// Cyan is for what goes on.
func (s Style) Cyan(text string) string { return s.paint("36", text) }

// Dim is for what matters less.
func (s Style) Dim(text string) string { return s.paint("2", text) }

// Bold is for headings.
func (s Style) Bold(text string) string { return s.paint("1", text) }

// palette holds the colours of log prefixes; red is left for errors.
var palette = [...]string{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

// Nth paints with one of the colours that tell things apart.
func (s Style) Nth(n int, text string) string { return s.paint(palette[n%len(palette)], text) }

// Elapsed prints a duration as short as it can be read: 1.8s, 1m12s.
func Elapsed(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// size prints a number of bytes: 12.3MB.
func size(n int64) string {
	const unit = 1000
	value, suffix := float64(n), "B"
	for _, s := range []string{"kB", "MB", "GB", "TB"} {
		if value < unit {
			break
		}
		value, suffix = value/unit, s
	}
	if suffix == "B" {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.1f%s", value, suffix)
}

// Size prints a number of bytes as short as it can be read: 12.3MB.
func Size(n int64) string { return size(n) }

// pad fills text with spaces up to a width in characters.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// cut shortens text to a width in characters.
func cut(text string, width int) string {
	if width <= 0 {
		return ""
	}
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// oneLine makes one printable line of any text: what comes from an engine or a
// build may hold line ends and control characters, which would move the cursor.
func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
}

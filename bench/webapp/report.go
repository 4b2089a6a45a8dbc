//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// results is the file results.json.
type results struct {
	Date     string `json:"date"`
	CPUs     int    `json:"cpus"`
	CPU      string `json:"cpu"`
	Kernel   string `json:"kernel"`
	Go       string `json:"go"`
	Postgres string `json:"postgres"`
	Redis    string `json:"redis"`
	// AppBytes is the size of the app's binary.
	AppBytes int64       `json:"app_bytes"`
	Cells    []*measured `json:"cells"`
	// Start is the time to the first answer in milliseconds.
	Start *starts `json:"start_ms,omitempty"`
	Soak  *soak   `json:"soak,omitempty"`
}

// measured is one case at one count of connections.
type measured struct {
	Name        string          `json:"case"`
	Connections int             `json:"connections"`
	AnswerBytes int             `json:"answer_bytes,omitempty"`
	By          map[string]*row `json:"by"`
}

// sample is one turn of one contestant; times are in milliseconds.
type sample struct {
	Rate float64 `json:"per_second"`
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	// CPU is the processor time of a request in microseconds.
	CPU    float64 `json:"cpu_us,omitempty"`
	Errors int     `json:"errors"`
	// Special is the share of answers that were not what the case is about.
	Special float64 `json:"other_share"`
}

// row is all turns of a contestant. Its own numbers are medians, but errors, which
// are all.
type row struct {
	sample
	Turns []sample `json:"turns"`
}

// starts are the times to the first answer.
type starts struct {
	// Ready is with a table that is there, Fresh with an empty database.
	Ready []float64 `json:"ready"`
	Fresh []float64 `json:"fresh"`
}

type soak struct {
	Minutes     float64 `json:"minutes"`
	Connections int     `json:"connections"`
	Requests    int     `json:"requests"`
	Errors      int     `json:"errors"`
	Rate        float64 `json:"per_second"`
	P99         float64 `json:"p99_ms"`
	Points      []point `json:"memory"`
}

// point is the app's memory at some time of the soak.
type point struct {
	Seconds float64 `json:"s"`
	MB      float64 `json:"mb"`
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (m *measured) add(who string, s sample) {
	r := m.By[who]
	if r == nil {
		r = &row{}
		m.By[who] = r
	}
	r.Turns = append(r.Turns, s)
	of := func(field func(sample) float64) float64 {
		var values []float64
		for _, turn := range r.Turns {
			values = append(values, field(turn))
		}
		return median(values)
	}
	errs := r.Errors + s.Errors
	r.sample = sample{
		Rate: of(func(s sample) float64 { return s.Rate }), P50: of(func(s sample) float64 { return s.P50 }),
		P99: of(func(s sample) float64 { return s.P99 }), Special: of(func(s sample) float64 { return s.Special }),
		CPU: of(func(s sample) float64 { return s.CPU }), Errors: errs,
	}
}

// last says what the last round came to.
func (m *measured) last() string {
	var said []string
	for _, who := range []string{theApp, theBare, theRelay, redisTop, pgTop} {
		if r := m.By[who]; r != nil {
			turn := r.Turns[len(r.Turns)-1]
			said = append(said, fmt.Sprintf("%s %.0f/s", who, turn.Rate))
			if turn.CPU > 0 {
				said[len(said)-1] += fmt.Sprintf(" (%.0f us)", turn.CPU)
			}
		}
	}
	return strings.Join(said, ", ")
}

// share is the app's rate over another's; false when one of them is not there.
func (m *measured) share(who string) (float64, bool) { return m.ratio(theApp, who) }

// relayShare is the relay's rate over the bare handler's.
func (m *measured) relayShare() (float64, bool) { return m.ratio(theRelay, theBare) }

func (m *measured) ratio(one, other string) (float64, bool) {
	ours, theirs := m.By[one], m.By[other]
	if ours == nil || theirs == nil || theirs.Rate == 0 {
		return 0, false
	}
	return ours.Rate / theirs.Rate, true
}

// cell gives the cell of a case, a new one if there is none.
func (r *results) cell(name string, connections int) *measured {
	if found := r.find(name, connections); found != nil {
		return found
	}
	r.Cells = append(r.Cells, &measured{})
	return r.Cells[len(r.Cells)-1]
}

func (r *results) find(name string, connections int) *measured {
	for _, m := range r.Cells {
		if m.Name == name && m.Connections == connections {
			return m
		}
	}
	return nil
}

func resultsFile(dir string) string { return filepath.Join(dir, "results.json") }

// readResults reads the results of a folder; empty ones when there are none.
func readResults(dir string) (*results, error) {
	r := &results{}
	text, err := os.ReadFile(resultsFile(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove it to begin anew", resultsFile(dir), err)
	}
	return r, nil
}

// save writes results.json and RESULTS.md.
func (b *bench) save() error {
	text, err := json.MarshalIndent(b.results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(resultsFile(b.out), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.out, "RESULTS.md"), []byte(b.results.table()), 0o644)
}

// table is RESULTS.md.
func (r *results) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# The app, measured\n\nWritten by `make bench-webapp`. %s, %d CPUs (%s), kernel %s, %s,\nPostgreSQL %s, Redis %s; the app's binary has %.1f MB.\n",
		r.Date, r.CPUs, r.CPU, r.Kernel, r.Go, r.Postgres, r.Redis, float64(r.AppBytes)/1e6)
	out.WriteString(`
All numbers are medians of rounds in which the contestants took turns: the app; a
**bare** net/http handler that answers the same header and body; a **relay**, the same
with one GET to Redis per request; and the service itself, asked by redis-benchmark
with a value of the same size or by pgbench with the app's statement, with as many
clients (pgbench with at most 10, the app's pool). All of them share the CPUs with the
generator. p50 and p99 are in milliseconds, "CPU" is the app's processor time for one
request in microseconds, and "other" the share of answers that were misses where hits
are measured, and hits where misses are. Percentages are what the app gets of the
other's requests per second.

| case | connections | requests/s | p50 | p99 | CPU | errors | other | bare | | relay | | service | |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`)
	for _, c := range cases() {
		for _, connections := range connectionCounts {
			m := r.find(c.name, connections)
			if m == nil || m.By[theApp] == nil {
				continue
			}
			app := m.By[theApp]
			fmt.Fprintf(&out, "| %s | %d | %.0f | %.2f | %.2f | %.0f | %d | %.1f %%", c.name, connections, app.Rate, app.P50, app.P99, app.CPU, app.Errors, 100*app.Special)
			top := redisTop
			if m.By[pgTop] != nil {
				top = pgTop
			}
			for _, who := range []string{theBare, theRelay, top} {
				if share, ok := m.share(who); ok {
					fmt.Fprintf(&out, " | %.0f | %.0f %%", m.By[who].Rate, 100*share)
				} else {
					out.WriteString(" | – | –")
				}
			}
			out.WriteString(" |\n")
		}
	}
	if r.Start != nil {
		fmt.Fprintf(&out, "\n**Start to first answer** to `GET /users`, services ready: %.1f ms with a table that is there\n(%.1f to %.1f in %d runs), %.1f ms with an empty database (%.1f to %.1f).\n",
			median(r.Start.Ready), slices.Min(r.Start.Ready), slices.Max(r.Start.Ready), len(r.Start.Ready),
			median(r.Start.Fresh), slices.Min(r.Start.Fresh), slices.Max(r.Start.Fresh))
	}
	if s := r.Soak; s != nil {
		fmt.Fprintf(&out, "\n**Soak**: %.1f minutes, %d connections, everything mixed: %d requests, %.0f/s, p99 %.2f ms,\n%d errors. Resident memory:\n\n| after, s | MB |\n|---|---|\n",
			s.Minutes, s.Connections, s.Requests, s.Rate, s.P99, s.Errors)
		for i, p := range s.Points {
			if i%4 == 3 || i == 0 || i == len(s.Points)-1 {
				fmt.Fprintf(&out, "| %.0f | %.1f |\n", p.Seconds, p.MB)
			}
		}
	}
	out.WriteString("\n**What falls short**\n\n")
	short := r.shortfalls()
	for _, line := range short {
		fmt.Fprintf(&out, "- %s\n", line)
	}
	if len(short) == 0 {
		out.WriteString("Nothing.\n")
	}
	return out.String()
}

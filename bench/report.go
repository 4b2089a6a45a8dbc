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
	"time"
)

// results is what is known of one engine: the file results-ENGINE.json.
type results struct {
	Date     string             `json:"date"`
	Engine   engineInfo         `json:"engine"`
	CPUs     int                `json:"cpus"`
	Programs map[string]program `json:"programs"`
	// Cases is by the name of the case, then of the contestant.
	Cases map[string]map[string]*row `json:"cases"`
}

type program struct {
	Version string `json:"version"`
	Bytes   int64  `json:"bytes"`
}

// row is what one contestant took for one case; times are in milliseconds.
type row struct {
	Times     []float64 `json:"times_ms"`
	Time      summary   `json:"time_ms"`
	CPU       []float64 `json:"cpus_ms"`
	RSS       []float64 `json:"rss_mb"`
	EngineCPU []float64 `json:"engine_cpus_ms"`
	// Calls counts the calls of one run.
	Calls map[string]int `json:"calls"`
}

func milliseconds(d time.Duration) float64 { return float64(d.Round(time.Microsecond)) / 1e6 }

func (r *row) add(u usage, engine time.Duration) {
	r.Times = append(r.Times, milliseconds(u.Wall))
	r.CPU = append(r.CPU, milliseconds(u.CPU))
	r.RSS = append(r.RSS, float64(u.RSS>>10)/1024)
	r.EngineCPU = append(r.EngineCPU, milliseconds(engine))
	r.Time = summarise(r.Times)
}

// row gives the row of a contestant, a new one if there is none.
func (r *results) row(name, who string) *row {
	if r.Cases[name] == nil {
		r.Cases[name] = map[string]*row{}
	}
	if r.Cases[name][who] == nil {
		r.Cases[name][who] = &row{}
	}
	return r.Cases[name][who]
}

// readResults reads a file of results; empty ones when there is none.
func readResults(file string) (*results, error) {
	r := &results{Cases: map[string]map[string]*row{}}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("read %s: %w; remove it to begin anew", file, err)
	}
	return r, nil
}

func (r *results) write(file string) error { return writeJSON(file, r) }

// readAll reads the results of all engines in a folder, by release.
func readAll(dir string) ([]*results, error) {
	files, err := filepath.Glob(filepath.Join(dir, "results-*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var out []*results
	for _, file := range files {
		r, err := readResults(file)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// caseNames are the cases in the order of the table.
func caseNames() []string {
	var out []string
	for _, t := range targets {
		out = append(out, t.name)
	}
	return out
}

// ratio is stackctl's median to another's; false when one of them is not there.
func (r *results) ratio(name, other string, of func(*row) float64) (float64, bool) {
	ours, theirs := r.Cases[name][stackctl], r.Cases[name][other]
	if ours == nil || theirs == nil || len(ours.Times) == 0 || len(theirs.Times) == 0 || of(theirs) == 0 {
		return 0, false
	}
	return of(ours) / of(theirs), true
}

func timeOf(r *row) float64      { return r.Time.Median }
func cpuOf(r *row) float64       { return summarise(r.CPU).Median }
func rssOf(r *row) float64       { return summarise(r.RSS).Median }
func engineCPUOf(r *row) float64 { return summarise(r.EngineCPU).Median }

// writeTable writes RESULTS.md from the results of all engines in a folder.
func writeTable(dir string) error {
	all, err := readAll(dir)
	if err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString("# Measured\n\nWritten by `make bench`. Times are medians in milliseconds, then the least and the\nspread from least to greatest in brackets; ratios are stackctl's median to the\nother's. The three took turns in one run on one engine.\n")
	for _, r := range all {
		r.table(&out)
	}
	return os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(out.String()), 0o644)
}

func (r *results) table(out *strings.Builder) {
	fmt.Fprintf(out, "\n## Engine %s\n\nAPI %s, storage %s, %s, kernel %s, %d CPUs, %s.\n%s, %.1f MB. %s, %.1f MB.\n",
		r.Engine.Version, r.Engine.API, r.Engine.Storage, r.Engine.OS, r.Engine.Kernel, r.CPUs, r.Date,
		r.Programs[stackctl].Version, megabytes(r.Programs[stackctl].Bytes),
		r.Programs[compose].Version, megabytes(r.Programs[compose].Bytes))
	out.WriteString("\n| case | rounds | stackctl | Docker Compose | floor | to Compose | to the floor |\n|---|---|---|---|---|---|---|\n")
	for _, name := range caseNames() {
		if r.Cases[name] == nil {
			continue
		}
		fmt.Fprintf(out, "| %s | %d", name, len(r.row(name, stackctl).Times))
		for _, who := range contestants {
			fmt.Fprintf(out, " | %s", r.cell(name, who, func(row *row) string {
				return fmt.Sprintf("%.0f (%.0f, %.0f)", row.Time.Median, row.Time.Min, row.Time.Spread)
			}))
		}
		for _, who := range []string{compose, theFloor} {
			said := "–"
			if ratio, ok := r.ratio(name, who, timeOf); ok {
				said = fmt.Sprintf("%.2f", ratio)
			}
			fmt.Fprintf(out, " | %s", said)
		}
		out.WriteString(" |\n")
	}
	out.WriteString("\nWhat it took, each time stackctl / Docker Compose / floor: peak memory and processor\ntime of the process (a compiler that it starts included), processor time of the engine\n(dockerd, containerd and shims, probes included), and calls.\n")
	out.WriteString("\n| case | memory, MB | processor, ms | engine's processor, ms | calls |\n|---|---|---|---|---|\n")
	for _, name := range caseNames() {
		if r.Cases[name] == nil {
			continue
		}
		fmt.Fprintf(out, "| %s", name)
		for _, of := range []func(*row) float64{rssOf, cpuOf, engineCPUOf, func(row *row) float64 { return float64(sum(row.Calls)) }} {
			var cells []string
			for _, who := range contestants {
				cells = append(cells, r.cell(name, who, func(row *row) string { return fmt.Sprintf("%.0f", of(row)) }))
			}
			fmt.Fprintf(out, " | %s", strings.Join(cells, " / "))
		}
		out.WriteString(" |\n")
	}
}

// cell is what is said of one contestant in one case; a dash when it has none.
func (r *results) cell(name, who string, say func(*row) string) string {
	if found := r.Cases[name][who]; found != nil && len(found.Times) > 0 {
		return say(found)
	}
	return "–"
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }

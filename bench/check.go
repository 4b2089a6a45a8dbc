//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"
)

// target is what a case has to reach: stackctl's median over the other's. 0 is no
// target.
type target struct {
	name               string
	toCompose, toFloor float64
	toComposeBefore25  float64 // on engines that do not know start_interval, when it differs
}

// targets are in the order of the table.
var targets = []target{
	{name: "cold", toCompose: 0.30, toComposeBefore25: 0.38, toFloor: 1.10},
	{name: "warm", toCompose: 0.12, toFloor: 1.15},
	{name: "cold, tuned", toCompose: 1.0, toFloor: 1.10},
	{name: "warm, tuned", toCompose: 0.6, toFloor: 1.10},
	{name: "no-op", toCompose: 0.12, toFloor: 2},
	{name: "one change", toCompose: 0.5, toFloor: 1.2},
	{name: "down", toCompose: 0.95, toFloor: 1.1},
	{name: "down -v", toCompose: 0.95, toFloor: 1.1},
	{name: "status", toCompose: 0.5},
	{name: "render", toCompose: 0.5},
	{name: "validate", toCompose: 0.5},
	{name: "plan", toCompose: 0.5},
	{name: "version"},
	{name: "pull", toCompose: 0.7, toFloor: 1.1},
	{name: "build, one line", toCompose: 0.7, toFloor: 1.1},
	{name: "build, nothing", toCompose: 0.7, toFloor: 1.1},
	{name: "wide, 50", toCompose: 0.8, toFloor: 1.1},
	{name: "no-op, 200", toCompose: 0.12, toFloor: 2},
	{name: "status, 200", toCompose: 0.5},
	{name: "deep", toCompose: 0.5, toFloor: 1.1},
	{name: "diamond", toCompose: 0.5, toFloor: 1.1},
}

// What holds for all cases, and for the programs.
const (
	memoryTarget = 0.4
	binaryTarget = 0.3
	// versionTarget is in milliseconds.
	versionTarget = 10
)

var errShort = errors.New("the results fall short of what is to be reached")

// runCheck prints what falls short, and what has not been measured.
func runCheck(dir string) error {
	all, err := readAll(dir)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("%s has no results: run make bench", dir)
	}
	short := false
	for _, r := range all {
		found := r.shortfalls()
		fmt.Printf("engine %s: %d of %d cases measured\n", r.Engine.Version, len(r.Cases), len(targets))
		for _, line := range found {
			fmt.Println("  " + line)
		}
		short = short || len(found) > 0
	}
	if short {
		return errShort
	}
	return nil
}

// shortfalls says where one engine's results miss a target, case by case.
func (r *results) shortfalls() []string {
	var out []string
	miss := func(name, what, than string, got, want float64) {
		if want > 0 && got > want {
			out = append(out, fmt.Sprintf("%s: %s is %.2f of %s, and should be at most %.2f", name, what, got, than, want))
		}
	}
	known := r.Engine.knowsStartInterval()
	for _, t := range targets {
		if _, ok := r.ratio(t.name, compose, timeOf); !ok {
			if known || !strings.HasSuffix(t.name, ", tuned") {
				out = append(out, t.name+": not measured")
			}
			continue
		}
		want := t.toCompose
		if !known && t.toComposeBefore25 > 0 {
			want = t.toComposeBefore25
		}
		if got, ok := r.ratio(t.name, compose, timeOf); ok {
			miss(t.name, "the time", "Docker Compose's", got, want)
		}
		if got, ok := r.ratio(t.name, theFloor, timeOf); ok {
			miss(t.name, "the time", "the floor's", got, t.toFloor)
		}
		// The compiler's memory is nobody's merit.
		if got, ok := r.ratio(t.name, compose, rssOf); ok && !strings.HasPrefix(t.name, "build") {
			miss(t.name, "peak memory", "Docker Compose's", got, memoryTarget)
		}
		if got := r.Cases[t.name][stackctl]; t.name == "version" && got != nil && got.Time.Median > versionTarget {
			out = append(out, fmt.Sprintf("version: it takes %.1f ms, and should take at most %d", got.Time.Median, versionTarget))
		}
	}
	if theirs := r.Programs[compose].Bytes; theirs > 0 {
		miss("binary", "its size", "Docker Compose's", float64(r.Programs[stackctl].Bytes)/float64(theirs), binaryTarget)
	}
	return out
}

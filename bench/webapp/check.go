//go:build linux

package main

import (
	"errors"
	"fmt"
)

const (
	// startTarget is in milliseconds.
	startTarget = 50
	// soakTarget is in minutes.
	soakTarget = 10
	// growthTarget is how much more memory the last quarter of a soak may take than
	// the second one. In the first the app gets to its size.
	growthTarget = 1.05
)

var errShort = errors.New("the results of the app fall short of what is to be reached")

// runCheck prints what falls short, and what has not been measured.
func runCheck(dir string) error {
	r, err := readResults(dir)
	if err != nil {
		return err
	}
	if len(r.Cells) == 0 {
		return fmt.Errorf("%s has no results: run make bench-webapp", dir)
	}
	fmt.Printf("webapp: %d of %d cases measured\n", len(r.Cells), len(cases())*len(connectionCounts))
	short := r.shortfalls()
	for _, line := range short {
		fmt.Println("  " + line)
	}
	if len(short) > 0 {
		return errShort
	}
	return nil
}

// shortfalls says where the results miss a target.
func (r *results) shortfalls() []string {
	var out []string
	note := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, c := range cases() {
		for _, connections := range connectionCounts {
			m := r.find(c.name, connections)
			if m == nil || m.By[theApp] == nil {
				note("%s, %d connections: not measured", c.name, connections)
				continue
			}
			if n := m.By[theApp].Errors; n > 0 {
				note("%s, %d connections: %d errors, and there should be none", c.name, connections, n)
			}
			if share, ok := m.share(theBare); ok && share < c.target {
				// What stands in the way is told with it.
				limit := ""
				if relay, ok := m.relayShare(); ok && relay < c.target {
					limit = fmt.Sprintf("; one that asks Redis once per request gets %.0f %%", 100*relay)
				}
				note("%s, %d connections: %.0f %% of the bare handler, and should be at least %.0f %%%s", c.name, connections, 100*share, 100*c.target, limit)
			}
		}
	}
	if r.Start == nil {
		note("start to first answer: not measured")
	} else {
		if ms := median(r.Start.Ready); ms > startTarget {
			note("start to first answer: %.1f ms, and should be at most %d", ms, startTarget)
		}
		if ms := median(r.Start.Fresh); ms > startTarget {
			note("start to first answer with an empty database: %.1f ms, and should be at most %d", ms, startTarget)
		}
	}
	s := r.Soak
	if s == nil {
		note("memory: not measured: -soak 10m")
		return out
	}
	if s.Errors > 0 {
		note("soak: %d errors, and there should be none", s.Errors)
	}
	if s.Minutes < soakTarget {
		note("soak: %.1f minutes, and should be %d", s.Minutes, soakTarget)
	}
	if growth := s.growth(); growth > growthTarget {
		note("soak: memory in the last quarter is %.2f of that in the second, and should be at most %.2f", growth, growthTarget)
	}
	return out
}

// growth is the memory of the last quarter over that of the second; 0 when there are
// too few points to tell.
func (s *soak) growth() float64 {
	n := len(s.Points) / 4
	if n == 0 {
		return 0
	}
	middle := func(points []point) float64 {
		var values []float64
		for _, p := range points {
			values = append(values, p.MB)
		}
		return median(values)
	}
	return middle(s.Points[len(s.Points)-n:]) / middle(s.Points[n:2*n])
}

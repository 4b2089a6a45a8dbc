package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/stackctl/stackctl/test/faults/proxy"
)

// tally counts what became of the cases of one cell of the table.
type tally struct{ tried, inSpite, untouched, byNext, lost int }

func (t *tally) add(v verdict) {
	t.tried++
	switch {
	case v.lost != "":
		t.lost++
	case v.how == inSpite:
		t.inSpite++
	case v.how == untouched:
		t.untouched++
	default:
		t.byNext++
	}
}

func (t tally) recovered() int { return t.inSpite + t.untouched + t.byNext }

// writeTable prints operation by fault, tried/recovered/lost, and the sums.
func writeTable(w io.Writer, verdicts []verdict, faults []proxy.Fault) {
	var rows []string // "stack op"
	cells := map[string]map[proxy.Fault]*tally{}
	sum := tally{}
	for _, s := range stacks {
		for _, op := range operations {
			row := s.name + ": " + op
			for _, v := range verdicts {
				if v.stack != s.name || v.op != op {
					continue
				}
				if cells[row] == nil {
					cells[row] = map[proxy.Fault]*tally{}
					rows = append(rows, row)
				}
				if cells[row][v.fault] == nil {
					cells[row][v.fault] = &tally{}
				}
				cells[row][v.fault].add(v)
				sum.add(v)
			}
		}
	}
	fmt.Fprintf(w, "| tried, recovered, lost |")
	for _, f := range faults {
		fmt.Fprintf(w, " %s |", f)
	}
	fmt.Fprintf(w, " all |\n|---|%s---|\n", strings.Repeat("---|", len(faults)))
	for _, row := range rows {
		fmt.Fprintf(w, "| %s |", row)
		whole := tally{}
		for _, f := range faults {
			t := cells[row][f]
			if t == nil {
				t = &tally{}
			}
			whole.tried, whole.lost = whole.tried+t.tried, whole.lost+t.lost
			fmt.Fprintf(w, " %d, %d, %d |", t.tried, t.recovered(), t.lost)
		}
		fmt.Fprintf(w, " %d, %d, %d |\n", whole.tried, whole.tried-whole.lost, whole.lost)
	}
	fmt.Fprintf(w, "\n%d faults injected, %d lost. Of the others %d runs %s, %d %s, %d were %s.\n",
		sum.tried, sum.lost, sum.inSpite, inSpite, sum.untouched, untouched, sum.byNext, byNext)
}

// writeCalls prints which calls the faults were done to, and how often.
func writeCalls(w io.Writer, verdicts []verdict) {
	count := map[string]int{}
	for _, v := range verdicts {
		count[v.call]++
	}
	var all []string
	for _, call := range slices.Sorted(maps.Keys(count)) {
		all = append(all, fmt.Sprintf("%s %d", call, count[call]))
	}
	fmt.Fprintf(w, "The calls that they hit: %s.\n", strings.Join(all, ", "))
}

// writeLost prints each case that was lost, with the flags that try it again.
func writeLost(w io.Writer, verdicts []verdict) int {
	n := 0
	for _, v := range verdicts {
		if v.lost == "" {
			continue
		}
		n++
		fmt.Fprintf(w, "\nLOST %s: %s of %s (call %d)\n  again with: %s\n  the run said: %s\n  %s\n",
			v.op, v.fault, v.call, v.n, v.again(), strings.ReplaceAll(v.err, "\n", "\n    "), strings.ReplaceAll(v.lost, "\n", "\n  "))
	}
	return n
}

// writeErrors prints what the runs said, each text once, for a person to judge.
func writeErrors(w io.Writer, verdicts []verdict) {
	count := map[string]int{}
	for _, v := range verdicts {
		if v.err != "" {
			count[plainText(v.err)]++
		}
	}
	var texts []string
	for text, n := range count {
		texts = append(texts, fmt.Sprintf("%5d  %s", n, strings.ReplaceAll(text, "\n", "\n       ")))
	}
	slices.Sort(texts)
	for _, text := range texts {
		fmt.Fprintln(w, text)
	}
}

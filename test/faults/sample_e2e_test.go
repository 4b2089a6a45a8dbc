//go:build e2e

package main

import (
	"strings"
	"testing"
)

// A sample of the faults that `make faults` tries, on the ten services, loses
// nothing. The whole takes longer than tests may.
func TestSampleOfFaults(t *testing.T) {
	var table, progress strings.Builder
	lost, err := enumerate(t.Context(), []string{
		"-stack", "ten", "-every", "150", "-seed", "1", "-workers", "4", "-name", "stackctl-fault-sample", "-port", "22000",
	}, &table, &progress)
	t.Log(table.String())
	if err != nil || lost > 0 {
		t.Errorf("%d lost, %v\n%s", lost, err, progress.String())
	}
	if !strings.Contains(table.String(), " faults injected, 0 lost") || strings.Contains(table.String(), "\n0 faults") {
		t.Error("no fault was injected")
	}
}

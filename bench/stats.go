//go:build linux

package main

import "slices"

// summary is what is said of a row of samples.
type summary struct {
	// Median is the middle value, or the mean of the two in the middle.
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	// Spread is the distance from the least to the greatest.
	Spread float64 `json:"spread"`
}

// summarise gives zeros for no samples.
func summarise(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return summary{(sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1] - sorted[0]}
}

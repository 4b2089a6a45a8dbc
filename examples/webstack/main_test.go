package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stackctl/stackctl/pkg/spec"
)

// The program prints what the command has built in.
func TestStackIsTheBuiltInOne(t *testing.T) {
	got, err := stack().Compose()
	if err != nil {
		t.Fatal(err)
	}
	want, err := spec.WebStack(spec.WebStackOptions{}).Compose()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("-built in +example:\n%s", diff)
	}
}

package spec_test

import (
	"testing"

	"github.com/stackctl/stackctl/pkg/spec"
)

func TestValueString(t *testing.T) {
	host := spec.Literal("db") // not a constant
	tests := []struct {
		name  string
		value spec.Value
		want  string
	}{
		{"zero value", "", ""},
		{"constant", "hello", "hello"},
		{"dollar signs are text", "pa$$word and $HOME and ${HOME}", "pa$$$$word and $$HOME and $${HOME}"},
		{"reference", spec.FromEnv("NAME"), "${NAME}"},
		{"with a default", spec.FromEnvOr("PORT", "5432"), "${PORT:-5432}"},
		{"dollar sign in a default", spec.FromEnvOr("PRICE", "5$"), "${PRICE:-5$$}"},
		{"required", spec.RequiredEnv("PW", "set it in .env"), "${PW:?set it in .env}"},
		{"joined", "postgres://" + spec.FromEnv("USER") + "@" + host + ":5432", "postgres://${USER}@db:5432"},
		{"dollar sign before a reference", "$" + spec.FromEnv("X"), "$$${X}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.value.String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMergeEnvLaterCounts(t *testing.T) {
	first := spec.Env{"A": "1", "B": "1"}
	got := spec.MergeEnv(first, nil, spec.Env{"B": "2", "C": "2"})
	diff(t, got, spec.Env{"A": "1", "B": "2", "C": "2"})
	diff(t, first, spec.Env{"A": "1", "B": "1"})
}

package spec

import (
	"bytes"
	"strings"
	"testing"
)

// A program that is a stack prints it, or its faults with another exit code.
func TestPrintStack(t *testing.T) {
	web := &Service{Name: "web", Image: "x"}
	for _, tt := range []struct {
		name           string
		stack          *Stack
		code           int
		stdout, stderr string
	}{
		{"a stack", New("shop", web), 0, "name: shop\n\nservices:\n  web:\n    image: x\n", ""},
		{
			"faults", New("shop", &Service{Name: "web"}, &Service{Name: "db", Image: "x", DependsOn: []Dependency{Started(web)}}), 1, "",
			"services.db.depends_on[0]: service \"web\" is not declared — pass it to spec.New too\nservices.web: has neither",
		},
		{"nothing", nil, 1, "", "there is no stack: spec.Main was given nil\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := printStack(tt.stack, &stdout, &stderr)
			if code != tt.code || stdout.String() != tt.stdout || !strings.HasPrefix(stderr.String(), tt.stderr) || (stderr.Len() > 0) != (tt.stderr != "") {
				t.Errorf("exit code %d\nstdout:\n%s\nstderr:\n%s", code, &stdout, &stderr)
			}
		})
	}
}

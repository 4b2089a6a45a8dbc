// Package compose compares stackctl with Docker Compose 2.26.1: it brings up the
// files in corpus with both on a real engine (build tag e2e) and compares what the
// engine then says of every container, network, volume and image.
package compose

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/versions"
	"gopkg.in/yaml.v3"
)

// Who refuses a file.
const (
	refusedByBoth     = "both"
	refusedByCompose  = "docker-compose"
	refusedByStackctl = "stackctl"
)

// corpusFile is a compose file of the corpus with what it says of itself under
// x-corpus, which neither tool reads.
type corpusFile struct {
	// name is the file's, without its ending.
	name string
	// about is the comment that the file begins with.
	about string

	// Profiles are the active ones.
	Profiles []string
	// Look maps a service to a script that is run in its containers, to compare
	// what cannot be inspected.
	Look map[string]string
	// Before says that NAME.before/compose.yaml is brought up first, and stays.
	Before bool
	// Refused says who refuses the file: both, docker-compose or stackctl. Empty:
	// nobody. Why has the reason.
	Refused, Why string
	// API is the first version of the engine's API on which nobody refuses it.
	API string
	// BothBelow is the first version on which only the one in Refused does: older
	// ones lack what the other needs, too.
	BothBelow string `yaml:"both_below"`
	// CompareRefused says that the containers are made all the same, and equal: for
	// what not every machine can start.
	CompareRefused bool `yaml:"compare_refused"`
	// OnlyStackctl marks a file that Docker Compose 2.26.1 does not understand
	// though newer ones do. Want says what there has to be instead, by the paths
	// of [difference].
	OnlyStackctl bool `yaml:"only_stackctl"`
	Want         map[string]string
}

// expected says who refuses the file on an engine.
func (f corpusFile) expected(api string) string {
	if f.API != "" && versions.GreaterThanOrEqualTo(api, f.API) {
		return ""
	}
	if f.BothBelow != "" && versions.LessThan(api, f.BothBelow) {
		return refusedByBoth
	}
	return f.Refused
}

// lacks gives a line for everything in Want that is not so.
func (f corpusFile) lacks(made any) []string {
	var out []string
	for _, path := range slices.Sorted(maps.Keys(f.Want)) {
		if got := valueAt(made, path); got != f.Want[path] {
			out = append(out, fmt.Sprintf("%s is %v, want %q", path, got, f.Want[path]))
		}
	}
	return out
}

// corpusFiles reads the corpus.
func corpusFiles(t *testing.T) []corpusFile {
	t.Helper()
	paths, err := filepath.Glob("corpus/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	var out []corpusFile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parseCorpusFile(string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		file.name = strings.TrimSuffix(filepath.Base(path), ".yaml")
		out = append(out, file)
	}
	return out
}

func parseCorpusFile(text string) (corpusFile, error) {
	var about []string
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(strings.TrimSpace(line), "#")
		if !ok {
			break
		}
		about = append(about, strings.TrimSpace(comment))
	}
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		return corpusFile{}, err
	}
	var own struct {
		Corpus yaml.Node `yaml:"x-corpus"`
	}
	if err := document.Decode(&own); err != nil {
		return corpusFile{}, err
	}
	var file corpusFile
	if !own.Corpus.IsZero() {
		// A word that is not known would silently expect nothing.
		text, err := yaml.Marshal(&own.Corpus)
		if err != nil {
			return corpusFile{}, err
		}
		decoder := yaml.NewDecoder(strings.NewReader(string(text)))
		decoder.KnownFields(true)
		if err := decoder.Decode(&file); err != nil {
			return corpusFile{}, err
		}
	}
	file.about = strings.Join(about, " ")
	switch {
	case file.about == "":
		return file, fmt.Errorf("it does not begin with a comment that says what it is about")
	case (file.Refused == "") != (file.Why == ""):
		return file, fmt.Errorf("refused and why go together")
	case file.API != "" && file.Refused == "":
		return file, fmt.Errorf("api says until when a file is refused, and it is not")
	}
	switch file.Refused {
	case "", refusedByBoth, refusedByCompose, refusedByStackctl:
	default:
		return file, fmt.Errorf("refused by %q, whom nobody knows", file.Refused)
	}
	return file, nil
}

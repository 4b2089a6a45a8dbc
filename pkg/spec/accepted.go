package spec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"
)

// model loads the files as one tree and gives the options that it was loaded
// with, in which the project's name is.
//
// Compiling the schema takes longer than all the rest of a load, and what it says
// depends on nothing but the text and the values of the variables in it. So the
// files are loaded without it first: when it has accepted the same before, that is
// all.
func (s *source) model(ctx context.Context, details types.ConfigDetails, adjust ...func(*loader.Options)) (map[string]any, *loader.Options, error) {
	if s.accepted == "" {
		return s.tryModel(ctx, details, adjust)
	}
	model, options, digest := s.unchecked(ctx, details, adjust)
	if digest != "" && slices.Contains(s.accepted.Lines(), digest) {
		return model, options, nil
	}
	// Variables without a value have been warned of by now.
	model, options, err := s.tryModel(ctx, details, adjust, func(o *loader.Options) { o.Interpolate.Substitute = quietly })
	if err == nil && digest != "" {
		s.accepted.Add(digest)
	}
	return model, options, err
}

// unchecked loads the files without the schema and gives the digest of what the
// schema would be asked; none where that is more than the text and the values in
// it: where it reads further files, or cannot be loaded.
func (s *source) unchecked(ctx context.Context, details types.ConfigDetails, adjust []func(*loader.Options)) (model map[string]any, options *loader.Options, digest string) {
	values := map[string]string{}
	further := false
	model, options, err := s.tryModel(ctx, details, adjust, func(o *loader.Options) {
		o.SkipValidation = true
		lookUp := o.Interpolate.LookupValue
		o.Interpolate.LookupValue = func(name string) (string, bool) {
			value, found := lookUp(name)
			values[name] = fmt.Sprintf("%t %s", found, value)
			return value, found
		}
		o.Listeners = append(o.Listeners, func(event string, about map[string]any) {
			further = further || event == "include" || about["file"] != nil
		})
	})
	// An obsolete version is told of by a load with the schema only.
	if _, versioned := model["version"]; err != nil || further || versioned {
		return nil, nil, ""
	}
	return model, options, s.digest(values, options.SkipInterpolation)
}

func (s *source) tryModel(ctx context.Context, details types.ConfigDetails, adjust []func(*loader.Options), more ...func(*loader.Options)) (model map[string]any, options *loader.Options, err error) {
	all := slices.Concat(s.options(), adjust, more)
	all = append(all, func(o *loader.Options) { options = o })
	model, err = loader.LoadModelWithContext(ctx, details, all...)
	return model, options, err
}

// digest identifies what the schema is given: the text, the values in it, and the
// code that makes one tree of them.
func (s *source) digest(values map[string]string, literal bool) string {
	h := sha256.New()
	write(h, loaderVersion(), schema.Schema, fmt.Sprint(literal, len(s.files)))
	for _, file := range s.files {
		write(h, string(file.Content))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		write(h, name, values[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// write writes texts so that no two rows of them look alike.
func write(h hash.Hash, texts ...string) {
	for _, text := range texts {
		fmt.Fprintf(h, "%d:%s", len(text), text) // a hash takes everything
	}
}

// loaderVersion gives the version of compose-go in this program.
var loaderVersion = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo() // nil where it is not known
	if info == nil {
		return ""
	}
	for _, module := range info.Deps {
		if module.Path == "github.com/compose-spec/compose-go/v2" {
			return fmt.Sprint(module.Version, module.Replace)
		}
	}
	return ""
})

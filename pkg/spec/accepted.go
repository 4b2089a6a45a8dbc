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
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"
)

// model loads the files as one tree and gives the options that it was loaded
// with, in which the project's name is.
//
// Compiling the schema takes longer than all the rest of the load of a small file, and
// what it says depends on nothing but the text and the values of the variables in it.
// So a text that it has accepted before is loaded without it first: if the values are
// the same, too, that is all.
func (s *source) model(ctx context.Context, details types.ConfigDetails, adjust ...func(*loader.Options)) (map[string]any, *loader.Options, error) {
	if s.accepted == "" {
		return s.tryModel(ctx, details, adjust)
	}
	lines := s.accepted.Lines()
	text := s.digest()
	isKnown := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, text) })
	versioned := false
	// An obsolete version, of which a load with the schema tells, shows in one without it.
	if isKnown || s.mentions("version") {
		model, options, digest, err := s.recorded(ctx, details, adjust, unchecked)
		if err == nil && slices.Contains(lines, digest) {
			return model, options, nil
		}
		_, versioned = model["version"]
		adjust = append(adjust, quieted) // variables without a value have been warned of by now
	}
	model, options, digest, err := s.recorded(ctx, details, adjust)
	if err == nil && digest != "" && !versioned {
		s.accepted.Add(digest)
	}
	return model, options, err
}

// recorded loads the files and gives the digest of what the schema is asked; none
// where that is more than the text and the values in it: where it reads further files.
func (s *source) recorded(ctx context.Context, details types.ConfigDetails, adjust []func(*loader.Options), more ...func(*loader.Options)) (model map[string]any, options *loader.Options, digest string, err error) {
	values := map[string]string{}
	further := false
	model, options, err = s.tryModel(ctx, details, slices.Concat(adjust, more), func(o *loader.Options) {
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
	if err != nil || further {
		return model, options, "", err
	}
	return model, options, s.digest() + valuesDigest(values, options.SkipInterpolation), nil
}

func (s *source) tryModel(ctx context.Context, details types.ConfigDetails, adjust []func(*loader.Options), more ...func(*loader.Options)) (model map[string]any, options *loader.Options, err error) {
	all := slices.Concat(s.options(), adjust, more)
	all = append(all, func(o *loader.Options) { options = o })
	model, err = loader.LoadModelWithContext(ctx, details, all...)
	return model, options, err
}

// unchecked loads without the schema.
func unchecked(o *loader.Options) { o.SkipValidation = true }

// quieted loads without the warnings for variables that are not set.
func quieted(o *loader.Options) { o.Interpolate.Substitute = quietly }

// digest identifies the text that the schema is given, and the code that makes one
// tree of it.
func (s *source) digest() string {
	h := sha256.New()
	write(h, loaderVersion(), schema.Schema, strconv.Itoa(len(s.files)))
	for _, file := range s.files {
		write(h, string(file.Content))
	}
	return half(h)
}

// valuesDigest identifies the values in a text.
func valuesDigest(values map[string]string, literal bool) string {
	h := sha256.New()
	write(h, strconv.FormatBool(literal))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		write(h, name, values[name])
	}
	return half(h)
}

// half is as much of a digest as tells texts apart: the file of them is read by every
// command.
func half(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:sha256.Size/2]) }

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

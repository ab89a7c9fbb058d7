package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// maxFileBytes bounds the settings file: ours is a screenful, and a wrong path (a weight file) must not be read whole.
const maxFileBytes = 1 << 20

// layer is what one source says, by key, with the types of setting.parse.
type layer map[string]any

// Read and ReadBytes make a layer a koanf provider.
func (l layer) Read() (map[string]any, error) { return l, nil }
func (l layer) ReadBytes() ([]byte, error)    { return nil, errors.ErrUnsupported }

// envLayer reads the LLORCH_ variables. An empty one counts as unset, an unknown one is noted.
func envLayer(environ []string, notes *[]string) (layer, error) {
	k := koanf.New(".")
	err := k.Load(env.Provider(".", env.Opt{
		Prefix: envPrefix,
		TransformFunc: func(name, value string) (string, any) {
			if value == "" {
				return "", nil
			}
			return strings.ToLower(strings.TrimPrefix(name, envPrefix)), value
		},
		EnvironFunc: func() []string { return environ },
	}), nil)
	if err != nil {
		return nil, fmt.Errorf("config: environment: %w", err)
	}
	values := k.Raw()
	for _, key := range sortedKeys(values) {
		if _, ok := lookup(key); !ok {
			*notes = append(*notes, envPrefix+strings.ToUpper(key)+" is not a setting of this program and has no effect on it")
			delete(values, key)
		}
	}
	return newLayer(values, setting.variable)
}

// flagLayer reads the flags that were given on the command line.
func flagLayer(flags *pflag.FlagSet) (layer, error) {
	if flags == nil {
		return layer{}, nil
	}
	k := koanf.New(".")
	// Without a koanf instance the provider passes only flags that were set: defaults stay with Default.
	err := k.Load(posflag.ProviderWithFlag(flags, ".", nil, func(f *pflag.Flag) (string, any) {
		key := strings.ReplaceAll(f.Name, "-", "_")
		if _, ok := lookup(key); !ok {
			return "", nil // a command's own flag
		}
		return key, posflag.FlagVal(flags, f)
	}), nil)
	if err != nil {
		return nil, fmt.Errorf("config: flags: %w", err)
	}
	return newLayer(k.Raw(), func(s setting) string { return "--" + s.flagName() })
}

// fileLayer reads the YAML file; no path is an empty layer.
func fileLayer(path string, notes *[]string) (layer, error) {
	if path == "" {
		return layer{}, nil
	}
	raw, open, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w: %w", ErrUsage, err)
	}
	k := koanf.New(".")
	if err := k.Load(rawBytes(raw), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("config: %w: %s: %w", ErrUsage, path, err)
	}
	values := map[string]any{}
	for _, key := range k.Keys() {
		s, ok := lookup(key)
		switch {
		case !ok:
			return nil, fmt.Errorf("config: %w: %s: unknown key %q%s", ErrUsage, path, key, nearest(key))
		case key == "config":
			return nil, fmt.Errorf("config: %w: %s: config: a settings file cannot name another", ErrUsage, path)
		case k.Get(key) == nil:
			return nil, fmt.Errorf("config: %w: %s: %s has no value: give one or remove the line", ErrUsage, path, key)
		case s.kind == secret && open:
			*notes = append(*notes, path+" holds a token and other users may read it: chmod 600")
		}
		values[key] = k.Get(key)
	}
	return newLayer(values, func(s setting) string { return path + ": " + s.key })
}

// rawBytes is a koanf provider of a file's content: reading it ourselves bounds its size.
type rawBytes []byte

func (r rawBytes) ReadBytes() ([]byte, error)    { return r, nil }
func (r rawBytes) Read() (map[string]any, error) { return nil, errors.ErrUnsupported }

// readFile reads a regular file of bounded size; open tells whether group or others may read it. Whatever is not a
// regular file is refused before it is opened, since opening a FIFO blocks.
func readFile(path string) (raw []byte, open bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	raw, err = io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(raw) > maxFileBytes {
		err = fmt.Errorf("%s is larger than %d bytes: not a settings file", path, maxFileBytes)
	}
	return raw, info.Mode().Perm()&0o077 != 0, err
}

// newLayer parses raw values, whose keys are known, and folds the other names of a setting into its own. name says how
// the source spells a setting.
func newLayer(raw map[string]any, name func(setting) string) (layer, error) {
	l := layer{}
	from := map[string]string{}
	for _, key := range sortedKeys(raw) {
		s, _ := lookup(key)
		v, err := s.parse(raw[key])
		if err != nil {
			return nil, fmt.Errorf("config: %s: %w", name(s), err)
		}
		target := s.key
		if s.alias != "" {
			target = s.alias
		}
		if was, ok := l[target]; ok && was != v {
			return nil, fmt.Errorf("config: %w: %s and %s contradict each other: give one of them", ErrUsage, from[target], name(s))
		}
		l[target], from[target] = v, name(s)
	}
	return l, l.foldDevice(name)
}

// foldDevice joins cuda_device and metal_device with device.
func (l layer) foldDevice(name func(setting) string) error {
	for _, kind := range []string{"cuda", "metal"} {
		s, _ := lookup(kind + "_device")
		v, ok := l[s.key].(string)
		if !ok {
			continue
		}
		n, err := parseIndex(v)
		if err != nil {
			return fmt.Errorf("config: %s: %w", name(s), err)
		}
		d := Device{Kind: kind, Index: n}
		if was, ok := l["device"].(string); ok {
			given, err := ParseDevice(was)
			if err != nil {
				return fmt.Errorf("config: device: %w", err)
			}
			if joined, ok := given.narrow(kind); !ok || joined.Index != n {
				return fmt.Errorf("config: %w: %s %s contradicts device %s: give one of them", ErrUsage, name(s), v, was)
			}
		}
		l["device"] = d.String()
		delete(l, s.key)
	}
	return nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

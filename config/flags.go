package config

import (
	"strconv"
	"time"

	"github.com/spf13/pflag"
)

// Register adds the flags of the given groups to fs, with the defaults of Default in the help text. Load reads them.
func Register(fs *pflag.FlagSet, groups Group) {
	defaults := map[string]any{}
	for key, v := range Default().byKey() {
		defaults[key] = v
	}
	for _, s := range settings {
		if s.group&groups == 0 {
			continue
		}
		if s.alias != "" {
			target, _ := lookup(s.alias)
			s.usage = "same as --" + target.flagName()
		}
		s.register(fs, defaults[s.key])
	}
}

func (s setting) register(fs *pflag.FlagSet, def any) {
	name := s.flagName()
	switch s.kind {
	case integer:
		n, _ := def.(int)
		fs.Int(name, n, s.usage)
	case autoInt:
		fs.Var(new(autoValue), name, s.usage)
	case boolean:
		b, _ := def.(bool)
		fs.Bool(name, b, s.usage)
	case duration:
		d, _ := def.(time.Duration)
		fs.Duration(name, d, s.usage)
	default:
		t, _ := def.(string)
		fs.String(name, t, s.usage)
	}
}

// autoValue is the pflag.Value of an autoInt: a bad one is refused where the flag is parsed, as pflag's own types do.
type autoValue int

func (a *autoValue) Set(s string) error {
	n, err := parseAutoInt(s)
	if err == nil {
		*a = autoValue(n.(int))
	}
	return err
}

func (a *autoValue) String() string {
	if *a == 0 {
		return "auto"
	}
	return strconv.Itoa(int(*a))
}

func (a *autoValue) Type() string { return "int|auto" }

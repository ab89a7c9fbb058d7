package check

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// root is the repository, the context of every build.
const root = "../.."

// dockerfiles are by the program that their image runs.
var dockerfiles = map[string]string{"llorch-cpu": "../docker/Dockerfile", "llorch-cuda": "../docker/Dockerfile.cuda"}

// dockerfile is a file as BuildKit reads it, with what its checks complain of.
type dockerfile struct {
	stages []instructions.Stage
	args   map[string]string
	lints  []string
}

func parseDockerfile(t *testing.T, text []byte) dockerfile {
	t.Helper()
	d := dockerfile{args: map[string]string{}}
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range tree.Warnings {
		d.lints = append(d.lints, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) { d.lints = append(d.lints, rule+": "+message) }})
	stages, args, err := instructions.Parse(tree.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	d.stages = stages
	for _, a := range args {
		for _, pair := range a.Args {
			d.args[pair.Key] = *pair.Value
		}
	}
	return d
}

func readDockerfile(t *testing.T, path string) dockerfile {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseDockerfile(t, text)
}

// expand fills in the arguments that stand before the first FROM.
func (d dockerfile) expand(s string) string {
	return os.Expand(s, func(k string) string { return d.args[k] })
}

// all are the instructions of type T of a stage.
func all[T instructions.Command](s instructions.Stage) (found []T) {
	for _, c := range s.Commands {
		if typed, ok := c.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

func TestDockerfilesParse(t *testing.T) {
	for _, path := range dockerfiles {
		if d := readDockerfile(t, path); len(d.lints) > 0 || len(d.stages) < 4 {
			t.Errorf("%s: %d stages, complaints %q", path, len(d.stages), d.lints)
		}
	}
	if bad := parseDockerfile(t, []byte("FROM a as b\nMAINTAINER x\nCMD serve\n")); len(bad.lints) < 2 {
		t.Errorf("the checks do not see what is wrong: %q", bad.lints)
	}
}

// What the image runs, as whom, and how its health is found out.
func TestImagesRunTheWorker(t *testing.T) {
	for program, path := range dockerfiles {
		d := readDockerfile(t, path)
		last := d.stages[len(d.stages)-1]
		binary := "/usr/local/bin/" + program
		if e := all[*instructions.EntrypointCommand](last); len(e) != 1 || !slices.Equal(e[0].CmdLine, []string{binary}) {
			t.Errorf("%s: entry point %+v", path, e)
		}
		if u := all[*instructions.UserCommand](last); len(u) != 1 || !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(u[0].User) {
			t.Errorf("%s: user %+v: give a number that is not 0", path, u)
		}
		if h := all[*instructions.HealthCheckCommand](last); len(h) != 1 || !slices.Equal(h[0].Health.Test, []string{"CMD", binary, "health"}) || h[0].Health.StartPeriod == 0 {
			t.Errorf("%s: health check %+v", path, h)
		}
		env := map[string]string{}
		for _, e := range all[*instructions.EnvCommand](last) {
			for _, pair := range e.Env {
				env[pair.Key] = pair.Value
			}
		}
		if x := all[*instructions.ExposeCommand](last); len(x) != 1 || !slices.Equal(x[0].Ports, []string{env["LLORCH_PORT"]}) {
			t.Errorf("%s: exposes %+v, LLORCH_PORT=%s", path, x, env["LLORCH_PORT"])
		}
	}
}

// Every base has a version, comes from no registry in particular, and brings
// the tools that the repository asks for.
func TestBasesOfImages(t *testing.T) {
	module, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)[1]
	for _, path := range dockerfiles {
		d := readDockerfile(t, path)
		if d.args["GO"] != string(language) {
			t.Errorf("%s: Go %s, go.mod asks for %s", path, d.args["GO"], language)
		}
		if minor, err := strconv.Atoi(strings.TrimPrefix(d.args["RUST"], "1.")); err != nil || minor < 85 {
			t.Errorf("%s: Rust %s, scripts/libtokenizers asks for 1.85", path, d.args["RUST"])
		}
		var names []string
		for _, s := range d.stages {
			base := d.expand(s.BaseName)
			name, tag, _ := strings.Cut(base, ":")
			if !slices.Contains(names, base) && (tag == "" || strings.HasPrefix(tag, "latest") || strings.Contains(strings.Split(name, "/")[0], ".")) {
				t.Errorf("%s: FROM %s", path, base)
			}
			names = append(names, s.Name)
		}
	}
}

// Whatever is copied from the context is in the repository and not ignored,
// and so is every file that the program is compiled from.
func TestContextHasWhatIsCopied(t *testing.T) {
	for _, path := range dockerfiles {
		f, err := os.Open(path + ".dockerignore")
		if err != nil {
			t.Fatal(err)
		}
		patterns, err := ignorefile.ReadAll(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ignored, err := patternmatcher.New(patterns)
		if err != nil {
			t.Fatal(err)
		}
		wanted := compiled(t)
		for _, s := range readDockerfile(t, path).stages {
			for _, c := range all[*instructions.CopyCommand](s) {
				if c.From == "" {
					wanted = append(wanted, c.SourcePaths...)
				}
			}
		}
		for _, name := range wanted {
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if out, err := ignored.MatchesOrParentMatches(name); err != nil || out {
				t.Errorf("%s: %s is ignored (%v)", path, name, err)
			}
		}
		for _, name := range []string{".git", "build/llorch-cpu", "agent/agent_test.go", "inference/tokenize/lib/x/libtokenizers.a", "deploy/demo/model"} {
			if out, err := ignored.MatchesOrParentMatches(name); err != nil || !out {
				t.Errorf("%s: %s goes into the context (%v)", path, name, err)
			}
		}
	}
}

// compiled lists the files of this repository that go into the program.
func compiled(t *testing.T) (files []string) {
	t.Helper()
	const form = `{{if .Module}}{{if .Module.Main}}{{$p := .ImportPath}}{{range .GoFiles}}{{$p}}/{{.}} {{end}}{{range .CgoFiles}}{{$p}}/{{.}} {{end}}` +
		`{{range .CFiles}}{{$p}}/{{.}} {{end}}{{range .HFiles}}{{$p}}/{{.}} {{end}}{{range .EmbedFiles}}{{$p}}/{{.}} {{end}}{{end}}{{end}}`
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", form, "./agent/cmd/llorch")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, f := range strings.Fields(string(out)) {
		files = append(files, strings.TrimPrefix(f, "llorch/"))
	}
	if len(files) < 100 {
		t.Fatalf("only %d files: %q", len(files), files)
	}
	return append(files, "Makefile", "go.sum", "LICENSE")
}

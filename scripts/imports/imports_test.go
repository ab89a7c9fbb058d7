package imports

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "llorch/"

// allowed says for each package what of ours it may import. A name that ends in /... means the package and all below it.
// The first line that fits a package decides; tests may import more.
var allowed = []struct {
	from string
	to   []string
}{
	{"scripts/...", []string{"..."}},       // tools of the developers: outside the program
	{"deploy/...", []string{"deploy/..."}}, // the stand-in orchestrator sees the worker over the wire only
	// The request that the engine takes carries the parameters of package sample. The command bench names a number format
	// (package tensor) for the random model that synthetic writes.
	{"agent/cli", []string{"agent/...", "config", "callback", "residency", "inference", "inference/sample", "inference/synthetic"}},
	{"agent/...", []string{"agent/...", "config", "callback", "residency", "inference", "inference/sample"}},

	{"config/...", nil},
	{"callback/...", nil},
	{"residency/...", nil},
	{"inference", []string{"inference/..."}},
	{"inference/tensor", nil},
	{"inference/tokenize", nil},
	{"inference/kvcache", nil},
	{"inference/cputime", nil}, // for tests
	{"inference/sample", nil},
	{"inference/manifest", []string{"inference/weights"}},
	// The converter sees the same of a model as the engine, and no device.
	{"inference/convert", []string{"inference/model/llama", "inference/weights", "inference/tensor", "inference/tokenize"}},
	{"inference/synthetic", []string{"inference/convert", "inference/model/llama", "inference/tensor", "inference/weights"}},
	{"inference/weights/strictjson", nil},
	{"inference/weights/longhash", nil},
	{"inference/weights", []string{"inference/tensor", "inference/weights/strictjson", "inference/weights/longhash"}},
	// A device may have packages of its own, which know no other device.
	{"inference/backend/cuda/...", []string{"inference/backend", "inference/backend/cuda/...", "inference/tensor", "inference/sample"}},
	{"inference/backend/...", []string{"inference/backend", "inference/tensor", "inference/sample"}},
	{"inference/model/...", []string{"inference/model/...", "inference/weights/...", "inference/backend", "inference/tensor"}},
}

// withC may hold cgo or assembler: the devices, the linker flags of the tokenizer library, and the sum of the files, which
// is of no device and as fast as memory.
var withC = []string{"inference/backend/...", "inference/tokenize", "inference/weights/longhash"}

func fits(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	folder, whole := strings.CutSuffix(pattern, "/...")
	return name == folder || whole && strings.HasPrefix(name, folder+"/")
}

// refused returns those imports of a package that its line of the table does not allow; ok is false without a line.
func refused(name string, imports []string) (bad []string, ok bool) {
	for _, rule := range allowed {
		if !fits(rule.from, name) {
			continue
		}
		for _, path := range imports {
			to, ours := strings.CutPrefix(path, module)
			if ours && !slices.ContainsFunc(rule.to, func(p string) bool { return fits(p, to) }) {
				bad = append(bad, to)
			}
		}
		return bad, true
	}
	return nil, false
}

type listed struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
	CFiles     []string
	SFiles     []string
}

func list(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", "cuda", "-json=ImportPath,Imports,CgoFiles,CFiles,SFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportsGoOneWay(t *testing.T) {
	packages := list(t)
	if len(packages) < 10 {
		t.Fatalf("only %d packages were found", len(packages))
	}
	for _, p := range packages {
		name := strings.TrimPrefix(p.ImportPath, module)
		bad, ok := refused(name, p.Imports)
		if !ok {
			t.Errorf("%s has no line in the table: say what it may import", name)
		}
		for _, to := range bad {
			t.Errorf("%s imports %s, an arrow that the architecture does not have", name, to)
		}
		if n := len(p.CgoFiles) + len(p.CFiles) + len(p.SFiles); n > 0 &&
			!slices.ContainsFunc(withC, func(pattern string) bool { return fits(pattern, name) }) {
			t.Errorf("%s has C or assembler; they belong into inference/backend", name)
		}
	}
}

func TestWrongArrowsAreSeen(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{"agent", "llorch/inference", false},
		{"agent", "llorch/inference/backend", true},
		{"agent/cmd/llorch", "llorch/agent", false},
		{"inference", "llorch/agent", true},
		{"inference", "llorch/inference/model/llama", false},
		{"inference/model/llama", "llorch/inference/model", false},
		{"inference/model/llama", "llorch/inference/backend/cpu", true},
		{"inference/model/llama", "llorch/inference/kvcache", true},
		{"inference/backend/cpu", "llorch/inference/sample", false},
		{"inference/backend/cpu", "llorch/inference/backend/ref", true},
		{"inference/weights", "llorch/inference/backend", true},
		{"inference/kvcache", "llorch/inference/tensor", true},
		{"callback", "llorch/config", true},
		{"config", "net/http", false},
		{"deploy/demo", "llorch/config", true},
		{"deploy/demo", "llorch/deploy/demo/standin", false},
		{"scripts/imports", "llorch/agent", false},
		{"inference/tokenizer", "llorch/inference", false}, // no line of its own: the next check
	} {
		bad, ok := refused(c.from, []string{c.to, "fmt"})
		if (len(bad) > 0) != c.bad || ok != (c.from != "inference/tokenizer") {
			t.Errorf("%s → %s: refused %v, has a line: %v", c.from, c.to, bad, ok)
		}
	}
}

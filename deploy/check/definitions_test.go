package check

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// shipped says where modules keep the definitions of their custom resources.
var shipped = map[string]string{
	"sigs.k8s.io/lws": "config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml",
	"sigs.k8s.io/gateway-api-inference-extension": "config/crd/bases/inference.networking.k8s.io_inferencepools.yaml",
	"sigs.k8s.io/gateway-api":                     "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
}

// definitions are schemas by apiVersion and kind. They know what Go types do
// not: what is required, lengths, ranges, words.
type definitions map[string]*jsonschema.Schema

func crds(t *testing.T) definitions {
	t.Helper()
	d := definitions{}
	for module, path := range shipped {
		dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatalf("%s: %v", module, err)
		}
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), path))
		if err != nil {
			t.Fatal(err)
		}
		d.add(t, text)
	}
	return d
}

// add takes the versions of one definition.
func (d definitions) add(t *testing.T, text []byte) {
	t.Helper()
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	for _, v := range crd.Spec.Versions {
		name := crd.Spec.Group + "/" + v.Name + " " + crd.Spec.Names.Kind
		c := jsonschema.NewCompiler()
		c.DefaultDraft(jsonschema.Draft4) // of which OpenAPI 3.0 is a dialect
		if err := c.AddResource("crd.json", v.Schema.OpenAPIV3Schema); err != nil {
			t.Fatal(err)
		}
		s, err := c.Compile("crd.json")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d[name] = s
	}
}

// check holds an object against its definition, if there is one.
func (d definitions) check(o object) error {
	s, ok := d[o.gvk.GroupVersion().String()+" "+o.gvk.Kind]
	if !ok {
		return nil
	}
	asJSON, err := yaml.YAMLToJSON(o.raw)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		return err
	}
	if err := s.Validate(value); err != nil {
		return fmt.Errorf("%s: %w", o.gvk.Kind, err)
	}
	return nil
}

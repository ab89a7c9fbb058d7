package check

import (
	"bytes"
	"fmt"
	"testing"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	resource "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	pool "sigs.k8s.io/gateway-api-inference-extension/api/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	lws "sigs.k8s.io/lws/api/leaderworkerset/v1"
	"sigs.k8s.io/yaml"
)

const manifests = "../kubernetes"

// kustomizations are what may be given to kubectl apply -k.
var kustomizations = []string{".", "cpu", "gateway", "cuda", "cuda-device-plugin"}

// kinds are the objects that we deploy, by apiVersion and kind.
var kinds = map[string]func() any{
	"apps/v1 Deployment":                           func() any { return new(apps.Deployment) },
	"v1 Service":                                   func() any { return new(core.Service) },
	"autoscaling/v2 HorizontalPodAutoscaler":       func() any { return new(autoscaling.HorizontalPodAutoscaler) },
	"policy/v1 PodDisruptionBudget":                func() any { return new(policy.PodDisruptionBudget) },
	"resource.k8s.io/v1 ResourceClaimTemplate":     func() any { return new(resource.ResourceClaimTemplate) },
	"leaderworkerset.x-k8s.io/v1 LeaderWorkerSet":  func() any { return new(lws.LeaderWorkerSet) },
	"inference.networking.k8s.io/v1 InferencePool": func() any { return new(pool.InferencePool) },
	"gateway.networking.k8s.io/v1 HTTPRoute":       func() any { return new(gateway.HTTPRoute) },
}

// object is one document, as kubectl would send it and as its type.
type object struct {
	gvk   schema.GroupVersionKind
	raw   []byte
	typed any
}

// decode reads a document as the type that it names. A field that the type
// does not have, or has twice, is an error.
func decode(doc []byte) (object, error) {
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return object{}, err
	}
	fresh, ok := kinds[head.APIVersion+" "+head.Kind]
	if !ok {
		return object{}, fmt.Errorf("%s %s is not in the table of kinds", head.APIVersion, head.Kind)
	}
	o := object{schema.FromAPIVersionAndKind(head.APIVersion, head.Kind), doc, fresh()}
	return o, yaml.UnmarshalStrict(doc, o.typed)
}

// build is what `kubectl apply -k` would send for a folder.
func build(t *testing.T, folder string) (all []object) {
	t.Helper()
	result, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), manifests+"/"+folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range result.Resources() {
		doc, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		o, err := decode(doc)
		if err != nil {
			t.Fatalf("%s: %v\n%s", folder, err, doc)
		}
		all = append(all, o)
	}
	return all
}

// find is the one object of type T in a folder.
func find[T any](t *testing.T, folder string) *T {
	t.Helper()
	var found *T
	for _, o := range build(t, folder) {
		if typed, ok := o.typed.(*T); ok {
			if found != nil {
				t.Fatalf("%s: two objects of type %T", folder, found)
			}
			found = typed
		}
	}
	if found == nil {
		t.Fatalf("%s: no %T", folder, found)
	}
	return found
}

// pods are the pod templates of all kustomizations.
func pods(t *testing.T) map[string]core.PodTemplateSpec {
	t.Helper()
	return map[string]core.PodTemplateSpec{
		"cpu":                find[apps.Deployment](t, "cpu").Spec.Template,
		"cuda":               find[lws.LeaderWorkerSet](t, "cuda").Spec.LeaderWorkerTemplate.WorkerTemplate,
		"cuda-device-plugin": find[lws.LeaderWorkerSet](t, "cuda-device-plugin").Spec.LeaderWorkerTemplate.WorkerTemplate,
	}
}

// Everything builds, every object is of its type without a field too many, and
// those with a custom resource definition fit that as well.
func TestObjectsFitTheirTypes(t *testing.T) {
	definitions := crds(t)
	seen := map[string]bool{}
	for _, folder := range kustomizations {
		all := build(t, folder)
		if len(all) == 0 {
			t.Errorf("%s: no object", folder)
		}
		for _, o := range all {
			seen[o.gvk.GroupVersion().String()+" "+o.gvk.Kind] = true
			if err := definitions.check(o); err != nil {
				t.Errorf("%s: %v", folder, err)
			}
		}
	}
	for kind := range kinds {
		if !seen[kind] {
			t.Errorf("no kustomization has a %s", kind)
		}
	}
}

// The test above must see what is wrong.
func TestWrongObjectsAreSeen(t *testing.T) {
	definitions := crds(t)
	for _, o := range build(t, "gateway") {
		for _, part := range []struct{ from, to string }{{"spec:", "sepc:"}, {"spec:", "spec:\n  nothing: 1"}} {
			if _, err := decode(bytes.Replace(o.raw, []byte(part.from), []byte(part.to), 1)); err == nil {
				t.Errorf("%s: %q passes", o.gvk.Kind, part.to)
			}
		}
	}
	for _, doc := range []string{
		"apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool\nmetadata: {name: x}\nspec: {targetPorts: [{number: 70000}]}",
		"apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata: {name: x}\nspec: {startupPolicy: Sometimes, leaderWorkerTemplate: {workerTemplate: {spec: {containers: [{name: x}]}}}}",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: x}\nspec: {rules: [{timeouts: {request: soon}}]}",
	} {
		o, err := decode([]byte(doc))
		if err == nil {
			err = definitions.check(o)
		}
		if err == nil {
			t.Errorf("passes: %s", doc)
		} else {
			t.Logf("%v", err)
		}
	}
}

package check

import (
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	policy "k8s.io/api/policy/v1"
	resource "k8s.io/api/resource/v1"
	pool "sigs.k8s.io/gateway-api-inference-extension/api/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// closing is what a worker may take after a drain that used all its time: to
// cut, to flush, to report to its orchestrator and to free the device.
const closing = 5 * time.Second

func environ(c core.Container) map[string]string {
	env := map[string]string{}
	for _, v := range c.Env {
		env[v.Name] = v.Value
	}
	return env
}

// A pod lives as long as it takes to be forgotten by callers and to drain.
func TestPodsHaveTimeToDrain(t *testing.T) {
	for name, p := range pods(t) {
		c := p.Spec.Containers[0]
		drain, err := time.ParseDuration(environ(c)["LLORCH_DRAIN_TIMEOUT"])
		if err != nil {
			t.Fatal(err)
		}
		if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil {
			t.Fatalf("%s: no preStop sleep: SIGTERM comes while callers still know the pod", name)
		}
		need := time.Duration(c.Lifecycle.PreStop.Sleep.Seconds)*time.Second + drain + closing
		if grace := time.Duration(*p.Spec.TerminationGracePeriodSeconds) * time.Second; grace <= need {
			t.Errorf("%s: %v until SIGKILL, %v needed", name, grace, need)
		}
	}
}

func TestProbesOfPods(t *testing.T) {
	for name, p := range pods(t) {
		c := p.Spec.Containers[0]
		for what, probe := range map[string]struct {
			*core.Probe
			path        string
			least, most time.Duration // until it acts
		}{
			"startup":   {c.StartupProbe, "/ready", 10 * time.Minute, time.Hour}, // a large model on a slow disk
			"readiness": {c.ReadinessProbe, "/ready", 0, 5 * time.Second},
			"liveness":  {c.LivenessProbe, "/live?hang=fail", 15 * time.Second, time.Minute},
		} {
			acts := time.Duration(probe.PeriodSeconds*probe.FailureThreshold) * time.Second
			if probe.HTTPGet == nil || probe.HTTPGet.Path != probe.path || probe.HTTPGet.Port.String() != "http" || probe.TimeoutSeconds != 1 {
				t.Errorf("%s: %s probe is %+v", name, what, probe.Probe)
			}
			if acts < probe.least || acts > probe.most {
				t.Errorf("%s: %s probe acts after %v, want %v to %v", name, what, acts, probe.least, probe.most)
			}
		}
	}
}

// The rules of the restricted Pod Security Standard, and a read-only root.
func TestPodsAreRestricted(t *testing.T) {
	for name, p := range pods(t) {
		s := p.Spec
		if sc := s.SecurityContext; sc == nil || !*sc.RunAsNonRoot || *sc.RunAsUser == 0 || sc.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
			t.Errorf("%s: security context of the pod %+v", name, sc)
		}
		if s.HostNetwork || s.HostPID || s.HostIPC || len(s.InitContainers) > 0 || s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken {
			t.Errorf("%s: shares the host's namespaces, or has a service account's token", name)
		}
		if s.EnableServiceLinks == nil || *s.EnableServiceLinks {
			t.Errorf("%s: a service named llorch would set LLORCH_PORT", name)
		}
		for _, v := range s.Volumes {
			if v.HostPath != nil {
				t.Errorf("%s: volume %s is a folder of the host", name, v.Name)
			}
		}
		for _, c := range s.Containers {
			sc := c.SecurityContext
			if sc == nil || *sc.AllowPrivilegeEscalation || !*sc.ReadOnlyRootFilesystem || !slices.Equal(sc.Capabilities.Drop, []core.Capability{"ALL"}) || sc.Capabilities.Add != nil {
				t.Errorf("%s: security context of %s %+v", name, c.Name, sc)
			}
			for _, m := range c.VolumeMounts {
				if !m.ReadOnly {
					t.Errorf("%s: %s may write to %s", name, c.Name, m.Name)
				}
			}
		}
	}
}

// The same version everywhere, never one that changes under a running pod.
func TestImagesHaveATag(t *testing.T) {
	form := regexp.MustCompile(`^llorch-(cpu|cuda):\d+\.\d+\.\d+$`)
	for name, p := range pods(t) {
		if image := p.Spec.Containers[0].Image; !form.MatchString(image) {
			t.Errorf("%s: image %s", name, image)
		}
	}
}

// What a worker may use is set, and of whole cores, which it may then have alone.
func TestResourcesOfPods(t *testing.T) {
	for name, p := range pods(t) {
		r := p.Spec.Containers[0].Resources
		for _, of := range []core.ResourceName{core.ResourceCPU, core.ResourceMemory} {
			if request, limit := r.Requests[of], r.Limits[of]; request.IsZero() || request.Cmp(limit) != 0 {
				t.Errorf("%s: %s requested %v, limited to %v", name, of, &request, &limit)
			}
		}
		if cpu := r.Limits[core.ResourceCPU]; cpu.MilliValue()%1000 != 0 {
			t.Errorf("%s: %v cores", name, &cpu)
		}
	}
	claim := find[resource.ResourceClaimTemplate](t, "cuda")
	if q := claim.Spec.Spec.Devices.Requests; len(q) != 1 || q[0].Exactly == nil || q[0].Exactly.Count != 1 {
		t.Errorf("one worker, one device: %+v", q)
	}
	claimed, plain := pods(t)["cuda"].Spec, pods(t)["cuda-device-plugin"].Spec
	if c := claimed.ResourceClaims; len(c) != 1 || *c[0].ResourceClaimTemplateName != claim.Name || claimed.Containers[0].Resources.Claims[0].Name != c[0].Name {
		t.Errorf("claims %+v of the pod, %+v of the container", c, claimed.Containers[0].Resources.Claims)
	}
	if n := plain.Containers[0].Resources.Limits["nvidia.com/gpu"]; n.Value() != 1 || plain.ResourceClaims != nil || plain.Containers[0].Resources.Claims != nil {
		t.Errorf("%v devices, claims %+v", &n, plain.ResourceClaims)
	}
}

// Selectors, ports and names point at something.
func TestObjectsFindEachOther(t *testing.T) {
	deployment, service := find[apps.Deployment](t, "cpu"), find[core.Service](t, "cpu")
	labels := deployment.Spec.Template.Labels
	subset := func(what string, of map[string]string) {
		if len(of) == 0 {
			t.Errorf("%s selects everything", what)
		}
		for k, v := range of {
			if labels[k] != v {
				t.Errorf("%s selects %s=%s, the pod has %q", what, k, v, labels[k])
			}
		}
	}
	subset("deployment", deployment.Spec.Selector.MatchLabels)
	subset("service", service.Spec.Selector)
	subset("budget", find[policy.PodDisruptionBudget](t, "cpu").Spec.Selector.MatchLabels)
	subset("spread", deployment.Spec.Template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels)
	p := find[pool.InferencePool](t, "gateway")
	selected := map[string]string{}
	for k, v := range p.Spec.Selector.MatchLabels {
		selected[string(k)] = string(v)
	}
	subset("pool", selected)
	if target := find[autoscaling.HorizontalPodAutoscaler](t, "cpu").Spec.ScaleTargetRef; target.Name != deployment.Name || target.Kind != "Deployment" {
		t.Errorf("the autoscaler scales %+v", target)
	}
	if deployment.Spec.Replicas != nil {
		t.Error("every apply would undo what the autoscaler did: leave replicas out")
	}
	for name, pod := range pods(t) {
		c := pod.Spec.Containers[0]
		port := c.Ports[0]
		number := strconv.Itoa(int(port.ContainerPort))
		if port.Name != "http" || environ(c)["LLORCH_PORT"] != number || pod.Annotations["prometheus.io/port"] != number {
			t.Errorf("%s: port %+v, LLORCH_PORT=%s, scraped at %s", name, port, environ(c)["LLORCH_PORT"], pod.Annotations["prometheus.io/port"])
		}
		if got := p.Spec.TargetPorts; len(got) != 1 || int32(got[0].Number) != port.ContainerPort {
			t.Errorf("%s: the pool sends to %+v", name, got)
		}
	}
	if got := service.Spec.Ports[0].TargetPort.String(); got != "http" {
		t.Errorf("the service sends to %s", got)
	}
}

// Callers reach what they need and nothing else, for as long as a request may take.
func TestRouteLeadsToThePool(t *testing.T) {
	route, p := find[gateway.HTTPRoute](t, "gateway"), find[pool.InferencePool](t, "gateway")
	var paths []string
	for _, rule := range route.Spec.Rules {
		for _, m := range rule.Matches {
			if *m.Method != gateway.HTTPMethodPost || *m.Path.Type != gateway.PathMatchExact {
				t.Errorf("%+v lets in more than one endpoint", m)
			}
			paths = append(paths, *m.Path.Value)
		}
		if b := rule.BackendRefs; len(b) != 1 || string(b[0].Name) != p.Name || string(*b[0].Group) != p.GroupVersionKind().Group || string(*b[0].Kind) != "InferencePool" {
			t.Errorf("backend %+v", b)
		}
		const longest = 300 * time.Second // the default of --inference-timeout-sec, which the manifests leave
		if d, err := time.ParseDuration(string(*rule.Timeouts.Request)); err != nil || d <= longest {
			t.Errorf("the gateway cuts after %v (%v)", d, err)
		}
	}
	if want := []string{"/execute", "/v1/inference"}; !slices.Equal(paths, want) {
		t.Errorf("%q, want %q", paths, want)
	}
}

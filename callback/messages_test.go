package callback

import (
	"strings"
	"testing"
)

func sample() Ready {
	return Ready{
		WorkerID: "w-17", URI: "http://localhost:8004", ModelRef: "hf:acme/mini&<b>", Backend: "cuda", Device: 1,
		Architecture: "vram-only", WorkerType: "cuda", VRAMBytes: 2200119864, MemoryBytes: 2300000000,
		Capabilities: []string{"text-gen"}, Epoch: "00c0ffee0000-0123456789abcdef",
		Evidence: Evidence{ResidentBytes: map[string]int64{"weights": 22, "cache": 11}, WeightsDigest: "xxh3:ab", LoadSeconds: 1.5,
			DeviceName: "a device", DeviceUUID: "GPU-1"},
	}
}

const more = `,"epoch":"00c0ffee0000-0123456789abcdef","evidence":{"resident_bytes":{"cache":11,"weights":22},` +
	`"weights_digest":"xxh3:ab","load_seconds":1.5,"device_name":"a device","device_uuid":"GPU-1"}}`

func TestBodies(t *testing.T) {
	for profile, want := range map[string]string{
		ProfileV1: `{"worker_id":"w-17","vram_bytes":2200119864,"uri":"http://localhost:8004"}`,
		ProfileV1S: `{"worker_id":"w-17","vram_bytes":2200119864,"uri":"http://localhost:8004","model_ref":"hf:acme/mini&<b>",` +
			`"memory_bytes":2300000000,"memory_architecture":"vram-only","worker_type":"cuda","capabilities":["text-gen"]` + more,
		ProfileV2: `{"worker_id":"w-17","url":"http://localhost:8004","model_ref":"hf:acme/mini&<b>","backend":"cuda","device":1,` +
			`"uri":"http://localhost:8004","vram_bytes":2200119864,` +
			`"memory_bytes":2300000000,"memory_architecture":"vram-only","worker_type":"cuda","capabilities":["text-gen"]` + more,
	} {
		got, err := sample().body(profile)
		if err != nil || string(got) != want {
			t.Errorf("%s:\n got %s (%v)\nwant %s", profile, got, err, want)
		}
	}
}

func TestCapabilitiesAreAList(t *testing.T) {
	r := sample()
	r.Capabilities, r.Evidence = nil, Evidence{}
	if got, err := r.body(ProfileV1S); err != nil || !strings.Contains(string(got), `"capabilities":[]`) || strings.Contains(string(got), "null") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestBodyNeedsItsFields(t *testing.T) {
	for _, tc := range []struct {
		profile, want string
		clear         func(*Ready)
	}{
		{ProfileV1, "worker id", func(r *Ready) { r.WorkerID = "" }},
		{ProfileV1, "address", func(r *Ready) { r.URI = "" }},
		{ProfileV1S, "model reference", func(r *Ready) { r.ModelRef = "" }},
		{ProfileV2, "model reference", func(r *Ready) { r.ModelRef = "" }},
		{ProfileV2, "backend", func(r *Ready) { r.Backend = "" }},
		{"v9", "unknown profile", func(*Ready) {}},
	} {
		r := sample()
		tc.clear(&r)
		if got, err := r.body(tc.profile); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s without its %s: %s, %v", tc.profile, tc.want, got, err)
		}
	}
	if _, err := (Ready{WorkerID: "w", URI: "http://h:1"}).body(ProfileV1); err != nil {
		t.Errorf("v1 needs no model reference: %v", err)
	}
}

func TestProfileFor(t *testing.T) {
	for url, want := range map[string]string{
		"http://localhost:9200/v2/internal/workers/ready":  ProfileV1S,
		"http://localhost:9200/v2/internal/workers/ready/": ProfileV1S,
		"http://h/pool/v2/internal/workers/ready?x=1":      ProfileV1S,
		"http://127.0.0.1:9200/v1/workers/ready":           ProfileV2,
		"https://hive.example/api/v1/workers/ready#f":      ProfileV2,
		"http://h/ready":                                     ProfileV1,
		"http://h":                                           ProfileV1,
		"http://localhost:9999":                              ProfileV1,
		"http://h/v2/workers/ready":                          ProfileV1,
		"http://h/v1/workers/ready/now":                      ProfileV1,
		"http://h/ready?next=/v1/workers/ready":              ProfileV1,
		"http://h/xv1/workers/ready":                         ProfileV1,
		"http://h/%zz":                                       ProfileV1,
		"http://h/V1/workers/ready":                          ProfileV1,
		"http://h/ready#/v2/internal/workers/ready":          ProfileV1,
		"http://h/v2/internal/workers/ready/v1/workers/idle": ProfileV1,
	} {
		if got := ProfileFor(url); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestIsTrial(t *testing.T) {
	for url, want := range map[string]bool{
		"http://localhost:9999":                  true,
		"http://localhost:9999/":                 true,
		"http://localhost:9999/v1/workers/ready": true,
		"https://localhost:9999":                 false,
		"http://localhost:99990":                 false,
		"http://127.0.0.1:9999":                  false,
		"http://localhost.example:9999":          false,
		"http://h/?to=http://localhost:9999":     false,
		"http://localhost:9999@h":                false,
		"http://localhost":                       false,
	} {
		if IsTrial(url) != want {
			t.Errorf("%s: %v, want %v", url, !want, want)
		}
	}
}

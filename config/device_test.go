package config

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseDevice(t *testing.T) {
	for in, want := range map[string]Device{
		"0": {}, "3": {Index: 3}, "cpu": {Kind: "cpu"}, "cpu:0": {Kind: "cpu"}, "cpu:1": {Kind: "cpu", Index: 1},
		"CPU-2": {Kind: "cpu", Index: 2}, "GPU-0": {Kind: "gpu"}, "gpu-1": {Kind: "gpu", Index: 1},
		"cuda": {Kind: "cuda"}, "cuda:1": {Kind: "cuda", Index: 1}, "CUDA:1": {Kind: "cuda", Index: 1},
		"metal": {Kind: "metal"}, "metal:0": {Kind: "metal"}, "1023": {Index: 1023},
	} {
		if got, err := ParseDevice(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"-1", "cuda:-1", "GPU--3", "cpu:-0"} {
		got, err := ParseDevice(in)
		if !errors.Is(err, ErrNegative) || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), "doctor lists") {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "+1", " 0", "cpu:", "cuda:x", "cuda-1", "gpu", "gpu:0", "GPU-", "tpu", "cpu:0:1", "1024", "99999999999999999999", "0x1", "1.5"} {
		if got, err := ParseDevice(in); !errors.Is(err, ErrUsage) {
			t.Errorf("%q gave %+v, %v; want a usage error", in, got, err)
		}
	}
}

func TestDeviceRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Device{
			Kind:  rapid.SampledFrom([]string{"cpu", "cuda", "metal"}).Draw(t, "kind"),
			Index: rapid.IntRange(0, maxDeviceIndex).Draw(t, "index"),
		}
		if got, err := ParseDevice(d.String()); err != nil || got != d {
			t.Fatalf("%v read back as %v, %v", d, got, err)
		}
	})
}

func TestResolveDevice(t *testing.T) {
	for _, tc := range []struct {
		device, gpu, backend string
		want                 Device
	}{
		{"", "", "", Device{}},
		{"", "", "ref", Device{Kind: "cpu"}},
		{"", "2", "", Device{Index: 2}}, // the kind stays open: managers pass --gpu to every build
		{"", "2", "cuda", Device{Kind: "cuda", Index: 2}},
		{"", "1", "cpu", Device{Kind: "cpu"}},
		{"1", "1", "cuda", Device{Kind: "cuda", Index: 1}},
		{"GPU-1", "", "cuda", Device{Kind: "cuda", Index: 1}},
		{"GPU-1", "1", "", Device{Kind: "gpu", Index: 1}},
		{"0", "", "metal", Device{Kind: "metal"}},
	} {
		got, note, err := resolveDevice(tc.device, tc.gpu, tc.backend)
		if err != nil || got != tc.want || (note != "") != (tc.gpu != "" && tc.want.Kind == "cpu") {
			t.Errorf("%+v: %+v, note %q, %v", tc, got, note, err)
		}
	}
}

func TestDeviceBindsToBuilt(t *testing.T) {
	for _, tc := range []struct {
		d     Device
		built []string
		want  string // "" for an error
	}{
		{Device{}, []string{"cpu"}, "cpu:0"},
		{Device{Index: 1}, []string{"cuda", "cpu"}, "cuda:1"},
		{Device{Kind: "gpu", Index: 1}, []string{"cpu", "cuda"}, "cuda:1"},
		{Device{Kind: "cpu"}, []string{"cuda", "cpu"}, "cpu:0"},
		{Device{Kind: "gpu"}, []string{"cpu"}, ""},
		{Device{Kind: "cuda", Index: 3}, []string{"cpu"}, ""},
	} {
		got, err := tc.d.Resolve(tc.built...)
		if tc.want == "" {
			if err == nil || !strings.Contains(err.Error(), tc.d.String()) || !strings.Contains(err.Error(), "cpu") {
				t.Errorf("%v on %v: %v, %v; want an error naming both", tc.d, tc.built, got, err)
			}
		} else if err != nil || got.String() != tc.want {
			t.Errorf("%v on %v: %v, %v; want %s", tc.d, tc.built, got, err, tc.want)
		}
	}
}

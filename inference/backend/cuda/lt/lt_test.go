package lt

import (
	"errors"
	"slices"
	"testing"
)

func TestCandidates(t *testing.T) {
	glob := func(string) ([]string, error) {
		return []string{"/usr/local/cuda-12.8/lib64", "/usr/local/cuda-13.0/lib64"}, nil
	}
	got := Candidates("", "/opt/cuda", glob)
	want := []string{
		"libcublasLt.so.13", "/opt/cuda/lib64/libcublasLt.so.13", "/opt/cuda/lib/libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13",
		"/usr/local/cuda-13.0/lib64/libcublasLt.so.13", "/usr/local/cuda-12.8/lib64/libcublasLt.so.13",
		"libcublasLt.so.12", "/opt/cuda/lib64/libcublasLt.so.12", "/opt/cuda/lib/libcublasLt.so.12", "/usr/local/cuda/lib64/libcublasLt.so.12",
		"/usr/local/cuda-13.0/lib64/libcublasLt.so.12", "/usr/local/cuda-12.8/lib64/libcublasLt.so.12",
	}
	if !slices.Equal(got, want) {
		t.Errorf("without a name: %q", got)
	}
	none := func(string) ([]string, error) { return nil, errors.New("no") }
	if got := Candidates("", "", none); len(got) != 4 {
		t.Errorf("on a bare host: %q", got)
	}
	if got := Candidates("/v/nvidia/cu13/lib", "/opt/cuda", glob); len(got) != 3 || got[1] != "/v/nvidia/cu13/lib/libcublasLt.so.13" {
		t.Errorf("with a name: %q", got)
	}
}

func TestShape(t *testing.T) {
	good := Shape{M: 3, N: 5, K: 7, In: BF16, Out: F32}
	for _, c := range []struct {
		name string
		edit func(*Shape)
		ok   bool
	}{
		{"plain", func(*Shape) {}, true},
		{"f16", func(s *Shape) { s.In, s.Out = F16, F16 }, true},
		{"adds", func(s *Shape) { s.Add = true }, true},
		{"strided", func(s *Shape) { s.StrideX, s.StrideY, s.Align = 8, 6, 16 }, true},
		{"no rows", func(s *Shape) { s.M = 0 }, false},
		{"negative", func(s *Shape) { s.K = -1 }, false},
		{"f32 factors", func(s *Shape) { s.In = F32 }, false},
		{"mixed", func(s *Shape) { s.Out = F16 }, false},
		{"short stride", func(s *Shape) { s.StrideW = 6 }, false},
		{"odd alignment", func(s *Shape) { s.Align = 24 }, false},
		{"too small alignment", func(s *Shape) { s.Align = 2 }, false},
	} {
		s := good
		c.edit(&s)
		if err := s.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestError(t *testing.T) {
	for status, want := range map[int]string{7: "cublasLtMatmul: invalid value (7)", 99: "cublasLtMatmul: failed (99)"} {
		if got := (&Error{status, "cublasLtMatmul"}).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

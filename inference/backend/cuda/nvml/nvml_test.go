package nvml

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestThrottles(t *testing.T) {
	for _, c := range []struct {
		reasons uint64
		want    []string
	}{
		{0, nil},
		{1, nil}, // idle
		{2, nil}, // application clocks
		{4, []string{"power cap"}},
		{8 | 64, []string{"hardware slowdown", "temperature, by hardware"}},
		{1 | 1024, []string{"reliability"}},
	} {
		if got := Throttles(c.reasons); !slices.Equal(got, c.want) {
			t.Errorf("%#x: %q, want %q", c.reasons, got, c.want)
		}
	}
}

func TestTroubles(t *testing.T) {
	unknown := Health{Corrected: -1, Uncorrected: -1, RemapCorrected: -1, RemapUncorrected: -1, Celsius: -1, Milliwatts: -1}
	if got := unknown.Troubles(); got != nil {
		t.Errorf("a card that says nothing is in trouble: %q", got)
	}
	if got := (Health{Corrected: 5, RemapCorrected: 1}).Troubles(); got != nil {
		t.Errorf("what ECC corrects is no trouble: %q", got)
	}
	if got := (Health{Uncorrected: 1, RemapPending: true, RemapFailed: true, Throttled: []string{"power cap"}}).Troubles(); len(got) != 4 {
		t.Errorf("troubles %q", got)
	}
}

func TestAdvice(t *testing.T) {
	for code := range 30 {
		err := fmt.Errorf("residency: %w", &Error{Code: code, Text: "text", Call: "nvmlCall"})
		known := slices.Contains([]int{CodeNoPermission, CodeNotFound, CodeDriverNotLoaded, CodeLibraryNotFound, CodeGPUIsLost, CodeVersionMismatch}, code)
		if (Advice(err) != "") != known || Code(err) != code {
			t.Errorf("%v: %q", err, Advice(err))
		}
	}
	if Advice(fmt.Errorf("x: %w", ErrNotListed)) == "" || Advice(errors.New("x")) != "" || Advice(nil) != "" {
		t.Error("advice for the wrong errors")
	}
}

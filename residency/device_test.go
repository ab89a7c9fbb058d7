package residency

import (
	"errors"
	"strings"
	"testing"
)

const mib = 1 << 20

// whole is a device of which everything is as it must be: two claims on three pages, one of them shared.
func whole() Device {
	d := Device{Index: 1, Context: 500 * mib, Graphs: 2 * mib, Page: 2 * mib}
	d.Claims = []Claim{{Class: Weights, Addr: 64 * mib, Bytes: 3 * mib}, {Class: Cache, Addr: 67 * mib, Bytes: 2 * mib}}
	for _, c := range d.Claims {
		d.Places = append(d.Places, Place{Device: true, Index: 1, Start: c.Addr, Bytes: c.Bytes})
	}
	d.Process = 508 * mib
	return d
}

func TestVerifyDevice(t *testing.T) {
	for name, c := range map[string]struct {
		change func(d *Device)
		want   string // of the error; "" = resident
	}{
		"as it must be":        {func(*Device) {}, ""},
		"not all explained":    {func(d *Device) { d.Process += 63 * mib }, ""},
		"more explained":       {func(d *Device) { d.Process -= 63 * mib }, ""},
		"two per cent of much": {func(d *Device) { d.Context, d.Process = 50000*mib, 50900*mib }, ""},
		"too much unexplained": {func(d *Device) { d.Process += 65 * mib }, "68157440, is more than 67108864"},
		"too much explained":   {func(d *Device) { d.Process -= 65 * mib }, "-68157440, is more than"},
		"in host memory":       {func(d *Device) { d.Places[0].Device = false }, "not memory of a device"},
		"managed":              {func(d *Device) { d.Places[1].Managed = true }, "managed memory"},
		"readable by the host": {func(d *Device) { d.Places[1].Host = 4096 }, "a host program can read it"},
		"elsewhere":            {func(d *Device) { d.Places[0].Index = 0 }, "on device 0, not 1"},
		"too short":            {func(d *Device) { d.Places[0].Bytes = mib }, "2097152 bytes in 1 places are not in memory, first weights"},
		"before its beginning": {func(d *Device) { d.Places[0].Start += 1 }, "begins before its allocation"},
		"the driver is silent": {func(d *Device) { d.Places[0].Err = errors.New("context lost") }, "context lost"},
		"not asked":            {func(d *Device) { d.Places = d.Places[:1] }, "not observed"},
		"the library is gone":  {func(d *Device) { d.ProcessErr = errors.New("not permitted") }, "is not known: not permitted"},
		"memory has failed":    {func(d *Device) { d.Uncorrected = 2 }, "2 errors of the device's memory could not be corrected"},
		"nothing is claimed":   {func(d *Device) { d.Claims, d.Places, d.Process = nil, nil, 502*mib }, "nothing was claimed"},
	} {
		d := whole()
		c.change(&d)
		r := VerifyDevice(d)
		err := r.Err()
		if r.Resident != (c.want == "") || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: resident %v, %v", name, r.Resident, err)
		}
	}
	held := VerifyDevice(whole()).Held
	for class, want := range map[string]int64{Weights: 3 * mib, Cache: 2 * mib, Padding: mib, Context: 500 * mib, Graphs: 2 * mib, Unexplained: 0} {
		if held[class] != want {
			t.Errorf("%s: %d bytes, not %d", class, held[class], want)
		}
	}
}

// A refusal names the parts that a device with memory of its own needs.
func TestPlanOfADevice(t *testing.T) {
	host := Host{Available: 1000, Name: "free memory of cuda:1, H200"}
	_, err := Plan(Need{Weights: 700, Cache: 200, Scratch: 60, Driver: 100}, host, "cuda:1", "/models/mini")
	want := "/models/mini does not fit on cuda:1: required 1060 bytes (weights 700, cache 200, scratch 60, driver 100), " +
		"available 1000 bytes (free memory of cuda:1, H200), short of 60"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}

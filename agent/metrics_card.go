package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"llorch/inference"
)

// cardMetrics are what a GPU measures of itself, at the last residency check. A series
// is absent where the card does not say: many have no ECC, slices no power.
type cardMetrics struct{ ecc, remapped, celsius, watts, throttled *prometheus.GaugeVec }

func newCardMetrics(r prometheus.Registerer) (c cardMetrics) {
	for _, g := range []struct {
		to         **prometheus.GaugeVec
		name, help string
		labels     []string
	}{
		{&c.ecc, "llorch_device_ecc_errors", "Memory errors of the device since its driver was loaded: those that ECC corrected, and those that it could not.", []string{"kind"}},
		{&c.remapped, "llorch_device_remapped_rows", "Rows of the device's memory that were replaced for errors.", nil},
		{&c.celsius, "llorch_device_temperature_celsius", "Temperature of the device.", nil},
		{&c.watts, "llorch_device_power_watts", "Power that the device draws.", nil},
		{&c.throttled, "llorch_device_throttled", "1 while power, temperature or hardware hold the device's clocks back.", nil},
	} {
		*g.to = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: g.name, Help: g.help + " At the last residency check."}, g.labels)
		r.MustRegister(*g.to)
	}
	return c
}

// observed records what a card has said.
func (c *cardMetrics) observed(card inference.Card) {
	set := func(g *prometheus.GaugeVec, n int64, unit float64, labels ...string) {
		if n < 0 {
			g.DeleteLabelValues(labels...)
			return
		}
		g.WithLabelValues(labels...).Set(float64(n) * unit)
	}
	set(c.ecc, card.Corrected, 1, "corrected")
	set(c.ecc, card.Uncorrected, 1, "uncorrected")
	set(c.remapped, card.Remapped, 1)
	set(c.celsius, card.Celsius, 1)
	set(c.watts, card.Milliwatts, 1e-3)
	set(c.throttled, card.Throttled, 1)
}

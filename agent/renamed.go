package agent

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// alias is a metric that is exported under a second name. Observing it twice
// would cost every token twice.
type alias struct {
	prometheus.Metric
	desc *prometheus.Desc
}

func renamed(m prometheus.Metric, name, help string) prometheus.Collector {
	return &alias{m, prometheus.NewDesc(name, help, nil, nil)}
}

func (a *alias) Desc() *prometheus.Desc              { return a.desc }
func (a *alias) Write(out *dto.Metric) error         { return a.Metric.Write(out) }
func (a *alias) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }
func (a *alias) Collect(ch chan<- prometheus.Metric) { ch <- a }

// A job that pushes with the official Go client, which sends delimited protobuf: what it reads from its input it
// observes in a native, a classic and a double histogram, counts, and pushes once; or it deletes its group.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
)

// Bounds grow by at most a tenth, which the client makes schema 3.
const bucketFactor = 1.1

func main() {
	if len(os.Args) < 4 {
		log.Fatalf("usage: %s URL JOB push|add|delete [LABEL=VALUE]... <numbers", os.Args[0])
	}
	pusher := push.New(os.Args[1], os.Args[2])
	for _, label := range os.Args[4:] {
		name, value, _ := strings.Cut(label, "=")
		pusher = pusher.Grouping(name, value)
	}
	if err := run(pusher, os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(pusher *push.Pusher, how string) error {
	if how == "delete" {
		return pusher.Delete()
	}
	registry, err := observe(bufio.NewScanner(os.Stdin))
	if err != nil {
		return err
	}
	switch how {
	case "push":
		return pusher.Gatherer(registry).Push()
	case "add":
		return pusher.Gatherer(registry).Add()
	}
	return fmt.Errorf("expected push, add or delete, got %q", how)
}

func observe(numbers *bufio.Scanner) (*prometheus.Registry, error) {
	events := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "events_total", Help: "Events seen."}, []string{"size"})
	last := prometheus.NewGauge(prometheus.GaugeOpts{Name: "last_seconds", Help: "The last one."})
	sizes := prometheus.NewSummary(prometheus.SummaryOpts{Name: "summed_seconds", Help: "Sum and count."})
	classic := []float64{0.25, 0.5, 1, 2, 4}
	histograms := []prometheus.Histogram{
		prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "native_seconds", Help: "Native buckets.", NativeHistogramBucketFactor: bucketFactor,
		}),
		prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "classic_seconds", Help: "Classic buckets.", Buckets: classic,
		}),
		prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "both_seconds", Help: "Both.", Buckets: classic, NativeHistogramBucketFactor: bucketFactor,
		}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(events, last, sizes)
	for _, histogram := range histograms {
		registry.MustRegister(histogram)
	}
	for line := 0; numbers.Scan(); line++ {
		value, err := strconv.ParseFloat(numbers.Text(), 64)
		if err != nil {
			return nil, err
		}
		trace := prometheus.Labels{"trace_id": fmt.Sprintf("%d-%d", os.Getpid(), line)}
		for _, histogram := range histograms {
			histogram.(prometheus.ExemplarObserver).ObserveWithExemplar(value, trace)
		}
		size := "small"
		if value > 1 {
			size = "large"
		}
		events.WithLabelValues(size).(prometheus.ExemplarAdder).AddWithExemplar(1, trace)
		last.Set(value)
		sizes.Observe(value)
	}
	return registry, numbers.Err()
}

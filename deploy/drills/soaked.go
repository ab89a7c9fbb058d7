package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"llorch/deploy/drills/soak"
)

// soaked: the soak in short, so that it is known to work when it is wanted for long.
var soaked = []Drill{
	{"soak-in-short", "soak", []int{4, 10, 11}, 120 * time.Second, soakInShort},
}

func soakInShort(ctx context.Context, b *Bench) (string, error) {
	report, err := soak.Run(ctx, soak.Options{Bin: b.Bin, Model: b.Model, For: 20 * time.Second, Streams: 64, Seed: 1, Out: io.Discard})
	if err != nil {
		return "", err
	}
	if !report.OK() {
		return "", errors.New(report.Summary() + "\n" + strings.Join(report.Complaints, "\n"))
	}
	return report.Summary(), nil
}

//go:build !linux

package main

import "errors"

func pageOut(int, uintptr, uintptr) error { return errors.ErrUnsupported }

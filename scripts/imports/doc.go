// Package imports holds the test that keeps the packages of this module in one direction: requests go down, answers come
// back on a channel, and what is pure stays free of devices. The table in imports_test.go is the architecture; a new
// arrow is added there on purpose or not at all.
package imports

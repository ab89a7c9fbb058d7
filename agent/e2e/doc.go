// Package e2e tests the built program as an orchestrator and its clients see
// it: command line, HTTP, exit status, log. Its tests spawn the real binary
// with the model of the demo; nothing is faked but the orchestrator.
package e2e

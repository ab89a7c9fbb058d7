// Package check holds the tests that read deploy/kubernetes and deploy/docker
// with the types and parsers of Kubernetes and BuildKit, and run a worker under
// the rights of its systemd unit. It is a module of its own so that what they
// need does not become dependencies of the worker.
package check

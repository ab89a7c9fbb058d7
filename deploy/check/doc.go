// Package check holds the tests that read deploy/kubernetes and deploy/docker
// with the types and parsers of Kubernetes and BuildKit. It is a module of its
// own so that these do not become dependencies of the worker.
package check

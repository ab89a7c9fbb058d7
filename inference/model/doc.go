// Package model is what the engine knows of a model family: its sizes, the
// tensors it needs, and one forward pass. A family is a folder beside this
// file: config and names, and a Forward if its block has another shape. It is
// listed in inference/families.go and touches neither engine nor backends.
package model

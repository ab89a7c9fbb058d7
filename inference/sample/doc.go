// Package sample is the specification of how a token is chosen from logits. It
// is plain Go without device, clock or state: a backend that samples on its
// device must give the same ids.
//
// Order: temperature, repetition penalty, top-k, top-p, min-p, draw. With
// temperature 0 the choice is greedy over the penalised logits, lowest id on
// ties.
//
// The draw is Gumbel-max over the kept ids: argmax of logit + g(id), with
// g = −ln(−ln u) and u from Philox4x32-10 keyed by the request's seed and
// counted by the token's position and id. So it needs no sum over the kept
// ids, whose rounding would depend on the order of addition; it does not depend
// on the batch row; and a token's draw can be repeated alone.
package sample

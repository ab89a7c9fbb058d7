// Package faulty is a device that fails as it is told: a decorator around a
// real one that stops, slows down or breaks at a given step. Only a program
// built with -tags llorch_faults has it in; there the plan is the variable
// FAULTY_DEVICE. Operators can rehearse with it what their fleet does about a
// worker that hangs or loses its device.
//
// A plan is a comma-separated list of KIND@STEP[:DURATION]. Steps are counted
// from 1, the two of the warm-up included.
//
//	hang@200:2s   step 200 takes two seconds longer; without a duration it never ends
//	slow@200:5ms  every step from 200 on takes five milliseconds longer
//	error@200     step 200 fails; its requests fail with it, the device goes on
//	fault@200     the device is lost at step 200 and stays lost
package faulty

//go:build race

package nn_test

// raceDetector says that sync.Pool drops what it is given at random.
const raceDetector = true

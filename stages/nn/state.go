package nn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// stateFormat is the first line of a trainer's state.
const stateFormat = "flow.trainer/1\n"

// State returns everything that decides how training goes on, beside Options and
// Examples: parameters, the optimizer's memory, and how far it is. A trainer
// with the same Options that Restores it gives the bits that this one would
// have given.
//
// It is stateFormat, then, little-endian: epoch, steps, powers and slowness, and
// the numbers of each parameter and of the memory, each slice with its length.
func (t *Trainer) State() []byte {
	b := []byte(stateFormat)
	put := func(v any) {
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, v); err != nil {
			panic("BUG: nn: state: " + err.Error())
		}
	}
	put(uint64(t.epoch))
	put(t.dropoutStep)
	put([]float64{t.optimizer.power1, t.optimizer.power2, t.slower})
	for _, s := range t.memory() {
		put(uint64(len(s)))
		put(s)
	}
	return b
}

// memory is all slices of a state.
func (t *Trainer) memory() [][]float32 {
	var all [][]float32
	for _, p := range t.parameters {
		all = append(all, p.Data)
	}
	return append(append(all, t.optimizer.first...), t.optimizer.second...)
}

// ErrState is wrapped by Restore's error for what is not a state of a trainer
// with these options.
var ErrState = errors.New("not the state of this training")

// Restore goes back, or on, to a state. An error leaves the trainer as it was.
func (t *Trainer) Restore(state []byte) error {
	rest, ok := bytes.CutPrefix(state, []byte(stateFormat))
	if !ok {
		return fmt.Errorf("restore trainer: %w: it does not start with %q", ErrState, stateFormat)
	}
	r := bytes.NewReader(rest)
	var epoch, size uint64
	var step uint32
	numbers := make([]float64, 3)
	get := func(v any) error {
		if err := binary.Read(r, binary.LittleEndian, v); err != nil {
			return fmt.Errorf("restore trainer: %w: %w", ErrState, err)
		}
		return nil
	}
	if err := errors.Join(get(&epoch), get(&step), get(numbers)); err != nil {
		return err
	}
	memory := t.memory()
	saved := make([][]float32, len(memory))
	for i, s := range memory {
		if err := get(&size); err != nil {
			return err
		}
		if size != uint64(len(s)) {
			return fmt.Errorf("restore trainer: %w: it has %d numbers where %d are wanted", ErrState, size, len(s))
		}
		saved[i] = make([]float32, size)
		if err := get(saved[i]); err != nil {
			return err
		}
	}
	if r.Len() > 0 {
		return fmt.Errorf("restore trainer: %w: %d bytes too many", ErrState, r.Len())
	}
	for i, s := range memory {
		copy(s, saved[i])
	}
	t.epoch, t.dropoutStep = int(epoch), step
	t.optimizer.power1, t.optimizer.power2, t.slower = numbers[0], numbers[1], numbers[2]
	return nil
}

// Epochs is how many epochs the trainer has done.
func (t *Trainer) Epochs() int { return t.epoch }

package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flow-pipelines/flow/stages/nn"
)

// checkpointFile is the file of a checkpoint: what training is to go on from
// after the last epoch that it has finished. It is written beside and renamed,
// so that a killed training leaves a whole one. It begins with its checksum: a
// checkpoint may be kept for long, and what is trained from it is as good as it is.
const checkpointFile = "training.state"

// saved is a checkpoint. Of identifies what it is a checkpoint of: arguments but
// the number of epochs, features, targets and weights. A training for which it
// is the same does the same epochs, so it may go on from here and comes to the
// bits that it would have come to from nothing, with more epochs too.
type saved struct {
	Of      string
	Trainer []byte

	Epochs, Best   int
	Stopped        bool
	BestParameters []nn.Parameter
	Watch          [2]float64 // the best metric and its loss
	Waited         int
	Plateau        float64
	PlateauWaited  int
}

// identity is Of. It is computed once, since it reads all features.
func (f *fitting) identity() (string, error) {
	c := *f.config
	c.Data, c.Validation = "", ""
	c.Epochs = 0
	if cosine := c.Schedule.Cosine; cosine != nil && cosine.Over == 0 {
		c.Epochs = f.config.Epochs // the rate of every epoch follows from it
	}
	args, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("identify training: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "flow.training/1 version %d arguments %d %s", Version, len(args), args)
	parts := [][]float32{f.examples.X.Data, f.examples.Y.Data, f.examples.Weight}
	if f.validation != nil {
		parts = append(parts, f.x.Data, f.validation.y.Data)
	}
	for _, part := range parts {
		fmt.Fprintf(h, "part %d ", len(part))
		for len(part) > 0 {
			n := min(len(part), 1<<14)
			if err := binary.Write(h, binary.LittleEndian, part[:n]); err != nil {
				return "", fmt.Errorf("identify training: %w", err)
			}
			part = part[n:]
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// resume goes on from the checkpoint, if there is one of this training, and
// returns the number of epochs that are done. One that cannot be read or is of
// another training is left out: training then starts from nothing.
func (f *fitting) resume(out *fitted, w *watch, p *plateau) (epochs int, err error) {
	if f.checkpoint == "" {
		return 0, nil
	}
	if f.of, err = f.identity(); err != nil {
		return 0, err
	}
	data, err := os.ReadFile(filepath.Join(f.checkpoint, checkpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read checkpoint: %w", err)
	}
	s, why := f.usable(data)
	if why != "" {
		note(f.log, "%s: starting from nothing\n", why)
		return 0, nil
	}
	out.epochs, out.best, out.stopped, out.parameters = s.Epochs, s.Best, s.Stopped, s.BestParameters
	if w != nil {
		w.watched = watched{best: s.Watch[0], bestLoss: s.Watch[1], waited: s.Waited}
	}
	if p != nil {
		p.best, p.waited = s.Plateau, s.PlateauWaited
	}
	note(f.log, "going on after epoch %d\n", s.Epochs)
	return s.Epochs, nil
}

// checkResume refuses what a training could not go on over.
func (c *Config) checkResume(add addProblem) {
	for i, name := range c.ResumeOver {
		if name != "epochs" {
			add(fmt.Sprintf("resume_over[%d]", i), fmt.Sprintf("A training does not go on over %q", name), "With another %s, every epoch is another one. Write resume_over = [\"epochs\"].", name)
			return
		}
	}
	switch {
	case len(c.ResumeOver) == 0:
	case c.Model.GBDT != nil || c.solved():
		add("resume_over", "The model is not trained in epochs", "There is no epoch to go on from: leave resume_over out, or give a network, or a logistic or linear regression with an optimizer.")
	case c.Schedule.Cosine != nil && c.Schedule.Cosine.Over == 0:
		add("resume_over", "The learning rate depends on the number of epochs", "Over more epochs, schedule \"cosine\" gives every one of them another rate, so there is nothing to go on from. Write in the schedule over how many epochs the rate falls, such as over = %d, or leave resume_over out.", c.Epochs)
	}
}

// usable reads a checkpoint and restores the trainer; why says what is wrong
// with it.
func (f *fitting) usable(data []byte) (s *saved, why string) {
	s = &saved{}
	if len(data) < sha256.Size {
		return nil, "the checkpoint is damaged (it is too short)"
	}
	sum, data := data[:sha256.Size], data[sha256.Size:]
	if want := sha256.Sum256(data); !bytes.Equal(sum, want[:]) {
		return nil, "the checkpoint is damaged (its checksum is another)"
	}
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(s); err != nil {
		return nil, fmt.Sprintf("the checkpoint is damaged (%v)", err)
	}
	if s.Of != f.of || s.Epochs > f.config.Epochs {
		return nil, "the checkpoint is of another training"
	}
	if err := f.trainer.Restore(s.Trainer); err != nil {
		return nil, fmt.Sprintf("the checkpoint cannot be used (%v)", err)
	}
	return s, ""
}

// save writes the checkpoint of the epoch that has ended.
func (f *fitting) save(out *fitted, w *watch, p *plateau) error {
	if f.checkpoint == "" {
		return nil
	}
	s := saved{
		Of: f.of, Trainer: f.trainer.State(),
		Epochs: out.epochs, Best: out.best, Stopped: out.stopped, BestParameters: out.parameters,
	}
	if w != nil {
		s.Watch, s.Waited = [2]float64{w.best, w.bestLoss}, w.waited
	}
	if p != nil {
		s.Plateau, s.PlateauWaited = p.best, p.waited
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(s); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	temp := filepath.Join(f.checkpoint, checkpointFile+".new")
	sum := sha256.Sum256(b.Bytes())
	if err := os.WriteFile(temp, append(sum[:], b.Bytes()...), 0o666); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(f.checkpoint, checkpointFile)); err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	return nil
}

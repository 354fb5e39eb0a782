package view

import "time"

// pulse calls a function every second until it is stopped, so that signs of life
// can be written while nothing happens.
type pulse struct{ stop, stopped chan struct{} }

func newPulse(beat func()) *pulse {
	p := &pulse{make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(p.stopped)
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-p.stop:
				return
			case <-t.C:
				beat()
			}
		}
	}()
	return p
}

// end stops the pulse; it does not beat any more when this returns.
func (p *pulse) end() {
	close(p.stop)
	<-p.stopped
}

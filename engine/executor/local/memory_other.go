//go:build !linux

package local

// watchMemory measures nothing here.
func watchMemory(_ int, _ int64, ended <-chan struct{}, _ chan<- int64) int64 {
	<-ended
	return 0
}

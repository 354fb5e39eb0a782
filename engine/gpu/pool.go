package gpu

import (
	"cmp"
	"fmt"
	"slices"
)

// unit is the piece of a device's memory that is lent.
const unit = 1 << 30

// Pool lends devices. What is lent is written nowhere: it is locked, in a file
// for each device in a directory of the user's, and a lock goes with the process
// that holds it, however that ends.
type Pool struct {
	Machine Machine
	Devices []Device
	dir     string
}

// NewPool lends devices among all who use the directory.
func NewPool(m Machine, devices []Device, dir string) *Pool {
	return &Pool{Machine: m, Devices: devices, dir: dir}
}

// Loan is devices, or parts of them, that are ours until Return.
type Loan struct {
	Devices []Device
	locks   []*lock
}

// Return gives them back. No loan is no matter.
func (l *Loan) Return() {
	if l == nil {
		return
	}
	for _, k := range l.locks {
		k.release()
	}
	l.locks = nil
}

// Shortage says why no loan of n devices, with so much memory of each, can ever
// be had here; "" if one can. Memory 0 is the whole device.
func (p *Pool) Shortage(n int, memory int64) string {
	var have []Device
	if p != nil {
		have = p.Devices
	}
	fit := 0
	for _, d := range have {
		if d.Memory >= memory {
			fit++
		}
	}
	switch {
	case fit >= n:
		return ""
	case len(have) == 0:
		return "this machine has none that flow can find (by nvidia-smi, or AMD's in /sys)"
	case fit < len(have):
		return fmt.Sprintf("this machine has %d with %.4g GiB of memory, and %d in all", fit, float64(memory)/unit, len(have))
	}
	return fmt.Sprintf("this machine has %d", len(have))
}

// Borrow lends n devices, of each so much memory, or the whole for 0. ok is
// false if they are not free.
func (p *Pool) Borrow(n int, memory int64) (loan *Loan, ok bool, err error) {
	loan = &Loan{}
	defer func() {
		if !ok {
			loan.Return()
		}
	}()
	// Small ones first, so that the large ones are free for who needs them.
	order := slices.Clone(p.Devices)
	slices.SortStableFunc(order, func(a, b Device) int { return cmp.Compare(a.Memory, b.Memory) })
	for _, d := range order {
		if len(loan.Devices) == n {
			break
		}
		if d.Memory < memory {
			continue
		}
		units := max(1, d.Memory/unit)
		want := units
		if memory > 0 {
			want = min(units, (memory+unit-1)/unit)
		}
		k, err := acquire(p.dir, d.ID, want, units)
		if err != nil {
			return nil, false, err
		}
		if k != nil {
			loan.Devices, loan.locks = append(loan.Devices, d), append(loan.locks, k)
		}
	}
	return loan, len(loan.Devices) == n, nil
}

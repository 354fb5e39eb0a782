package local

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// A task's memory is looked at this often; a task that asked for no memory is
// looked at only to tell its peak.
const (
	watchLimited = 50 * time.Millisecond
	watchFree    = time.Second
	// Looking takes at most so small a part of a processor: the memory of a
	// program with PyTorch takes the kernel 16 ms to add up (smaps_rollup, 587
	// mappings, on a busy machine).
	shareLimited = 50
	shareFree    = 500
)

// watchMemory measures what a task's processes use, until ended is closed, and
// returns the most that it saw. If a limit is passed, it says so once.
//
// It looks from outside instead of letting the kernel set the limit, since that
// takes rights that a user often does not have: a cgroup of its own with the
// memory controller. RLIMIT_AS is no substitute: it counts address space, of
// which a CUDA program or a Go program takes many times what it uses. So a
// program that takes gigabytes within a few milliseconds gets them before it is
// killed.
func watchMemory(pid int, limit int64, ended <-chan struct{}, over chan<- int64) (peak int64) {
	every, share := watchFree, time.Duration(shareFree)
	if limit > 0 {
		every, share = watchLimited, shareLimited
	}
	pause := every
	for {
		select {
		case <-ended:
			return peak
		case <-time.After(pause):
		}
		began := time.Now()
		used := memoryOf(family(pid))
		peak = max(peak, used)
		if limit > 0 && used > limit {
			over <- used
			limit = 0
		}
		pause = max(every, share*time.Since(began))
	}
}

// family returns the living processes that descend from the process or are in
// its group.
func family(root int) []int {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	type relation struct{ pid, parent int }
	var others []relation
	in := map[int]bool{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		parent, group, ok := relations(pid)
		switch {
		case !ok:
		case pid == root || group == root:
			in[pid] = true
		default:
			others = append(others, relation{pid, parent})
		}
	}
	for grew := true; grew; {
		grew = false
		for _, o := range others {
			if in[o.parent] && !in[o.pid] {
				in[o.pid], grew = true, true
			}
		}
	}
	all := make([]int, 0, len(in))
	for pid := range in {
		all = append(all, pid)
	}
	return all
}

// relations reads a process's parent and group; see proc_pid_stat(5). The name,
// in parentheses, may hold anything.
func relations(pid int) (parent, group int, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 3 {
		return 0, 0, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	group, err2 := strconv.Atoi(string(fields[2]))
	return parent, group, err1 == nil && err2 == nil
}

// memoryOf returns the memory that processes use together. Of several, each
// counts its share of what they have in common: workers that were forked from
// one large process share it.
func memoryOf(pids []int) (sum int64) {
	if len(pids) == 1 {
		return resident(pids[0])
	}
	for _, pid := range pids {
		if share, ok := proportional(pid); ok {
			sum += share
		} else {
			sum += resident(pid)
		}
	}
	return sum
}

func resident(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize())
}

func proportional(pid int) (int64, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if fields := bytes.Fields(line); len(fields) >= 2 && string(fields[0]) == "Pss:" {
			kib, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}

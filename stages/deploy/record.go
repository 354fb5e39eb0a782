package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/flow-pipelines/flow/engine/digest"
)

// RecordVersion is the version of deployment.json.
const RecordVersion = 1

// maxHistory bounds deployment.json; a deployment an hour fills it in a week.
const maxHistory = 200

// Record is deployment.json: what is deployed and how it came to be. The link
// is the truth about what is current; the record follows it.
type Record struct {
	Format  int    `json:"format"`
	Current string `json:"current"`
	// Versions are those that are there, the last deployed last.
	Versions []Version `json:"versions"`
	// History is what happened, the latest last.
	History []Change `json:"history"`
}

// Version is a deployed model. A version that was found without a record of it
// has no digest.
type Version struct {
	Name     string        `json:"name"`
	Digest   digest.Digest `json:"digest,omitzero"`
	Files    int64         `json:"files,omitempty"`
	Size     int64         `json:"size,omitempty"` // bytes
	By       string        `json:"by,omitempty"`   // address of the stage
	Deployed time.Time     `json:"deployed"`
	// Contents are its files, sorted by path; records of older versions of
	// flow have none.
	Contents []Stat `json:"contents,omitempty"`
}

// Change is a change of what is current.
type Change struct {
	Time   time.Time `json:"time"`
	Action string    `json:"action"` // "deploy", "rollback", "found"
	From   string    `json:"from,omitempty"`
	To     string    `json:"to"`
}

// The actions of a Change. Found is one that no record was made of: the run
// was interrupted after the switch, or somebody changed the link by hand.
const (
	ActionDeploy   = "deploy"
	ActionRollback = "rollback"
	ActionFound    = "found"
)

// heal returns the record as it should be, given what is on disk: a lost or
// damaged one is made anew from the directories, versions without a directory
// are dropped, and a switch that was not recorded is.
func (t *target) heal(current string) (*Record, error) {
	record, err := readRecord(t.root)
	var newer *newerError
	switch {
	case errors.As(err, &newer):
		return nil, t.notOurs("The deployment was made by a later version of flow", "%s has format %d, this version reads %d. Use the later version.", filepath.Join(t.name, recordName), newer.format, RecordVersion)
	case errors.Is(err, fs.ErrNotExist):
		record = &Record{}
	case err != nil:
		t.logf("%s: %v; it is made anew", t.name, err)
		record = &Record{}
	}
	disk, err := t.onDisk()
	if err != nil {
		return nil, fmt.Errorf("list the versions of %s: %w", t.name, err)
	}
	record.Versions = slices.DeleteFunc(record.Versions, func(v Version) bool {
		return !slices.ContainsFunc(disk, v.same)
	})
	var unknown []Version
	for _, v := range disk {
		if !slices.ContainsFunc(record.Versions, v.same) {
			unknown = append(unknown, v)
		}
	}
	// An unrecorded version that is current is the newest there is; others are
	// older than what is known, or half of an interrupted deployment.
	slices.SortStableFunc(unknown, func(a, b Version) int {
		if (a.Name == current) == (b.Name == current) {
			return 0
		}
		if a.Name == current {
			return 1
		}
		return -1
	})
	if n := len(unknown); n > 0 && unknown[n-1].Name == current {
		record.Versions = append(append(unknown[:n-1:n-1], record.Versions...), unknown[n-1])
	} else {
		record.Versions = append(unknown, record.Versions...)
	}
	if current != "" && record.Current != current {
		record.change(ActionFound, record.Current, current, t.now())
	}
	record.Current = current
	return record, nil
}

func (v Version) same(other Version) bool { return v.Name == other.Name }

// deployed moves the version to the end: what is deployed again is the newest.
func (r *Record) deployed(v Version, before string, now time.Time) {
	r.Versions = append(slices.DeleteFunc(r.Versions, v.same), v)
	if before != v.Name {
		r.change(ActionDeploy, before, v.Name, now)
	}
	r.Current = v.Name
}

func (r *Record) change(action, from, to string, now time.Time) {
	r.History = append(r.History, Change{Time: now.UTC(), Action: action, From: from, To: to})
	r.History = r.History[max(0, len(r.History)-maxHistory):]
}

// prune drops the oldest versions until keep are left, never the current one,
// and returns the names of the dropped.
func (r *Record) prune(keep int) []string {
	var doomed []string
	excess := len(r.Versions) - keep
	r.Versions = slices.DeleteFunc(r.Versions, func(v Version) bool {
		if excess <= 0 || v.Name == r.Current {
			return false
		}
		excess--
		doomed = append(doomed, v.Name)
		return true
	})
	return doomed
}

// drop forgets versions that cannot be rolled back to.
func (r *Record) drop(names []string) {
	r.Versions = slices.DeleteFunc(r.Versions, func(v Version) bool { return slices.Contains(names, v.Name) })
}

func (t *target) writeRecord(r *Record) error {
	r.Format = RecordVersion
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(t.name, recordName), err)
	}
	if err := t.writeFile(recordName, append(data, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Join(t.name, recordName), err)
	}
	return nil
}

type newerError struct{ format int }

func (e *newerError) Error() string {
	return fmt.Sprintf("format %d is newer than %d", e.format, RecordVersion)
}

func readRecord(root string) (*Record, error) {
	data, err := os.ReadFile(filepath.Join(root, recordName))
	if err != nil {
		return nil, err
	}
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", recordName, err)
	}
	if head.Format > RecordVersion {
		return nil, &newerError{head.Format}
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", recordName, err)
	}
	return &r, nil
}

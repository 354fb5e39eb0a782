// Package placed remembers which results flow has put into the tree, in a file
// of .flow.
//
// flow.lock says what belongs there. When git has brought another one, nobody
// knows what flow had put there before but this file, so that a checkout
// can take away what the other revision lacks. It is about results in the tree
// alone: content is in the cache, and what belongs there is in flow.lock.
// Whoever deletes the file loses nothing but that: old outputs stay where they
// are. So a file that cannot be read is as good as none.
//
// The package neither looks at the tree nor changes it.
package placed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/flow-pipelines/flow/engine/addr"
	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/lock"
)

// version is that of the file's format.
const version = 1

// Result is what flow has put at a path.
type Result struct {
	Stage addr.Address `json:"stage"`
	digest.Node
}

// Record has the results by path.
type Record map[string]Result

type document struct {
	Version int    `json:"version"`
	Results Record `json:"results"`
}

// Read reads the file; a missing or damaged one is empty.
func Read(file string) Record {
	var d document
	b, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(b, &d) != nil || d.Version != version || d.Results == nil {
		return Record{}
	}
	return d.Results
}

// Write writes the file, unless it says the same already.
func (r Record) Write(file string) error {
	b, err := json.Marshal(document{version, r})
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err := lock.ReplaceFile(file, b); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// Add takes in what a flow.lock says of the tree. The user's own files are not
// flow's to take away.
func (r Record) Add(l *lock.Lock) {
	for _, s := range l.Stages() {
		for _, res := range s.Results {
			if res.Given {
				delete(r, res.Path)
				continue
			}
			r[res.Path] = Result{s.Addr, res.Node}
		}
	}
}

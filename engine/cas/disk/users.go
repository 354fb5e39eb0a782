package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flow-pipelines/flow/engine/digest"
	"github.com/flow-pipelines/flow/engine/replace"
)

// A user of a store is a directory that lives by what is in it. Each is a file in
// users with its path: whoever removes objects asks all of them first. A store in
// its user's own directory names it by the way there, so that both may be moved.

func (s *Store) usersDir() string { return filepath.Join(s.dir, "users") }

// userPath is how the store names a user.
func (s *Store) userPath(user string) string {
	if dir, err := filepath.EvalSymlinks(s.dir); err == nil {
		if up, err := filepath.Rel(dir, user); err == nil && strings.Trim(up, "./") == "" {
			return up
		}
	}
	return user
}

func (s *Store) userFile(path string) string {
	return filepath.Join(s.usersDir(), digest.OfBytes([]byte(path)).Hex()[:16])
}

// register names our user in the store. It waits for whoever is clearing it,
// since that one has asked the users that there were.
func (s *Store) register(ctx context.Context) error {
	if s.user == "" {
		return nil
	}
	path := s.userPath(s.user)
	file := s.userFile(path)
	if _, err := os.Lstat(file); err == nil {
		return nil
	}
	release, err := s.share(ctx)
	if err != nil {
		return err
	}
	defer release()
	err = os.MkdirAll(s.usersDir(), 0o777)
	if err == nil {
		err = replace.Durably(file, []byte(path+"\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("name %s as a user of the cache: %w", s.user, err)
	}
	return nil
}

// Users returns the directories that live by the store, absolute and sorted.
func (s *Store) Users() ([]string, error) {
	entries, err := os.ReadDir(s.usersDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list users of the cache: %w", err)
	}
	dir, err := filepath.EvalSymlinks(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list users of the cache: %w", err)
	}
	var users []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // not yet one
		}
		b, err := os.ReadFile(filepath.Join(s.usersDir(), e.Name()))
		path := strings.TrimSuffix(string(b), "\n")
		if err != nil || path == "" {
			return nil, fmt.Errorf("list users of the cache: %s cannot be read: %w", e.Name(), errors.Join(err, errUser))
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		users = append(users, path)
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

var errUser = errors.New("it should hold the path of a directory")

// Forget strikes a directory from the users, and reports whether it was one.
func (s *Store) Forget(user string) (bool, error) {
	err := os.Remove(s.userFile(s.userPath(user)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

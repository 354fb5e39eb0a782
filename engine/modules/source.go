package modules

import (
	"path"
	"regexp"
	"strings"
)

// Source is where a module comes from.
type Source struct {
	Repository string // as git takes it
	Folder     string // within the repository; "" is its root
	Ref        string // a branch, tag or commit; "" is the repository's HEAD
}

// scp is git's short form of ssh: git@host:organisation/repository.git.
var scp = regexp.MustCompile(`^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^:]+$`)

// ParseSource reads git::REPOSITORY//FOLDER?ref=REVISION. All errors are
// *config.SourceError.
func ParseSource(text string) (Source, error) {
	wrong := func(why string) (Source, error) {
		return Source{}, mistake("Not the source of a module", "%q: %s. A module in git is written git::https://HOST/REPOSITORY.git//FOLDER?ref=TAG, with https, ssh or file.", text, why)
	}
	rest, ok := strings.CutPrefix(text, "git::")
	if !ok {
		return wrong("it does not begin with git::")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' }) {
		return wrong("it holds a space, a quote or a control character")
	}
	var s Source
	rest, query, _ := strings.Cut(rest, "?")
	if query != "" {
		if s.Ref, ok = strings.CutPrefix(query, "ref="); !ok || s.Ref == "" || strings.ContainsAny(s.Ref, "&?") {
			return wrong("behind the question mark stands ref=REVISION and nothing else")
		}
	}
	if strings.HasPrefix(s.Ref, "-") || strings.Contains(s.Ref, ":") {
		return wrong("no revision has such a name")
	}
	from := 0
	if i := strings.Index(rest, "://"); i >= 0 {
		from = i + len("://")
	}
	if i := strings.Index(rest[from:], "//"); i >= 0 {
		s.Folder = path.Clean(strings.TrimLeft(rest[from+i:], "/"))
		rest = rest[:from+i]
		if s.Folder == "." {
			s.Folder = ""
		}
	}
	if s.Folder == ".." || strings.HasPrefix(s.Folder, "../") {
		return wrong("the folder leads out of the repository")
	}
	s.Repository = rest
	known := scp.MatchString(rest)
	for _, scheme := range []string{"https://", "ssh://", "file:///"} {
		known = known || strings.HasPrefix(rest, scheme) && len(rest) > len(scheme)
	}
	if !known {
		return wrong("git repositories are fetched by https, ssh and from the disk")
	}
	return s, nil
}

// Pin is what the source is called in flow.lock: without the folder, since
// what is pinned is the whole repository.
func (s Source) Pin() string {
	p := "git::" + s.Repository
	if s.Ref != "" {
		p += "?ref=" + s.Ref
	}
	return p
}

package executor

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Hidden stands for a secret in what a program printed.
const Hidden = "(sensitive)"

// Secrets are texts that must not be seen. The zero Secrets hide nothing. They
// may be used concurrently.
type Secrets struct {
	texts  []string  // the longest first
	begins [256]bool // the first bytes of texts
	fixed  *strings.Replacer
}

// shortest is the shortest text that is hidden, in characters: a "1" or "yes"
// would be found everywhere, and tell nothing.
const shortest = 4

// NewSecrets returns the secrets among values. A value is also hidden as it
// stands in JSON, and a value of several lines line by line, since programs
// print such a key in pieces.
func NewSecrets(values []string) *Secrets {
	s := &Secrets{}
	add := func(text string) {
		if utf8.RuneCountInString(text) >= shortest && !slices.Contains(s.texts, text) {
			s.texts = append(s.texts, text)
		}
	}
	for _, v := range values {
		add(v)
		add(inJSON(v))
		if lines := strings.Split(v, "\n"); len(lines) > 1 {
			for _, l := range lines {
				if l = strings.TrimSpace(l); utf8.RuneCountInString(l) >= 2*shortest {
					add(l)
				}
			}
		}
	}
	// Where one is the beginning of another, the longer wins.
	slices.SortFunc(s.texts, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(s.texts))
	for _, t := range s.texts {
		s.begins[t[0]] = true
		pairs = append(pairs, t, Hidden)
	}
	s.fixed = strings.NewReplacer(pairs...)
	return s
}

// inJSON returns a text as it stands between the quotes of a JSON string.
func inJSON(v string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(b.String()), `"`), `"`)
}

// Empty reports whether there is nothing to hide. A nil Secrets is empty.
func (s *Secrets) Empty() bool { return s == nil || len(s.texts) == 0 }

// Redact returns text without secrets.
func (s *Secrets) Redact(text string) string {
	if s.Empty() {
		return text
	}
	return s.fixed.Replace(text)
}

// Redactor is a writer that passes on what is written to it without secrets,
// however they are divided among writes. It holds back no more than what may be
// the beginning of a secret, so a log can be followed as it grows.
type Redactor struct {
	secrets *Secrets
	to      io.Writer
	held    []byte
}

// NewRedactor returns a Redactor; close it to get the last that it holds.
func NewRedactor(to io.Writer, s *Secrets) *Redactor { return &Redactor{secrets: s, to: to} }

// Write implements io.Writer.
func (r *Redactor) Write(b []byte) (int, error) {
	if r.secrets.Empty() {
		return r.to.Write(b)
	}
	data := append(r.held, b...)
	out, rest := r.redact(data, false)
	_, err := r.to.Write(out)
	r.held = append([]byte(nil), rest...)
	return len(b), err
}

// Close passes on what is held back. It closes nothing else.
func (r *Redactor) Close() error {
	out, _ := r.redact(r.held, true)
	r.held = nil
	if len(out) == 0 {
		return nil
	}
	_, err := r.to.Write(out)
	return err
}

// redact returns data without secrets, and the rest that the next bytes decide
// about; at the end there is none.
func (r *Redactor) redact(data []byte, end bool) (out, rest []byte) {
	out = make([]byte, 0, len(data))
	for i := 0; i < len(data); {
		if !r.secrets.begins[data[i]] {
			out = append(out, data[i])
			i++
			continue
		}
		text, open := r.secrets.at(data[i:])
		switch {
		case open && !end:
			return out, data[i:]
		case text != "":
			out = append(out, Hidden...)
			i += len(text)
		default:
			out = append(out, data[i])
			i++
		}
	}
	return out, nil
}

// at returns the longest secret that data begins with. It is open if data ends
// within a longer one.
func (s *Secrets) at(data []byte) (text string, open bool) {
	for _, t := range s.texts {
		if len(t) > len(data) {
			open = open || strings.HasPrefix(t, string(data))
			continue
		}
		if bytes.HasPrefix(data, []byte(t)) {
			return t, open
		}
	}
	return "", open
}

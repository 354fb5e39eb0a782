package executor

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Hidden stands for a secret in what a program printed.
const Hidden = "(sensitive)"

// Secrets are texts that must not be seen. The zero Secrets hide nothing. They
// may be used concurrently.
type Secrets struct {
	// texts are the longest first, by their first letters, which all of them have.
	texts map[[indexed]byte][]string
	// begins are their beginnings that are too short to find them.
	begins map[string]bool
	first  [256]bool
	fixed  *strings.Replacer
}

const (
	// shortest is the shortest text that is hidden, in characters: a "1" or "yes"
	// would be found everywhere, and tell nothing.
	shortest = 4
	// shortestForm is that of what a program has made of a secret.
	shortestForm = 8
	// indexed bytes of a text find it.
	indexed = 4
)

// NewSecrets returns the secrets among values. A value is also hidden in the forms
// that programs usually give it: see forms.
func NewSecrets(values []string) *Secrets {
	s := &Secrets{texts: map[[indexed]byte][]string{}, begins: map[string]bool{}}
	all := map[string]bool{}
	for _, v := range values {
		if utf8.RuneCountInString(v) >= shortest {
			all[v] = true
			for _, f := range forms(v) {
				if utf8.RuneCountInString(f) >= shortest {
					all[f] = true
				}
			}
		}
	}
	// Where one is the beginning of another, the longer wins.
	sorted := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	pairs := make([]string, 0, 2*len(sorted))
	for _, t := range sorted {
		s.first[t[0]] = true
		for i := 1; i < indexed; i++ {
			s.begins[t[:i]] = true
		}
		at := [indexed]byte([]byte(t[:indexed]))
		s.texts[at] = append(s.texts[at], t)
		pairs = append(pairs, t, Hidden)
	}
	s.fixed = strings.NewReplacer(pairs...)
	return s
}

// forms are the ways in which programs print a secret: escaped for JSON, a URL,
// HTML or a shell, in base64, by itself or within a longer text such as
// "user:password", and, if it has several lines, line by line.
func forms(v string) []string {
	fs := []string{
		inJSON(v, false), inJSON(v, true), inASCII(v),
		url.QueryEscape(v), url.PathEscape(v), strings.ReplaceAll(url.QueryEscape(v), "+", "%20"),
		html.EscapeString(v), strings.ReplaceAll(v, "'", `'\''`),
	}
	for skip := range 3 {
		for _, f := range inBase64(v, skip) {
			if len(f) >= shortestForm {
				fs = append(fs, f)
			}
		}
	}
	if lines := strings.Split(v, "\n"); len(lines) > 1 {
		for _, l := range lines {
			if l = strings.TrimSpace(l); utf8.RuneCountInString(l) >= 2*shortest {
				fs = append(fs, l)
			}
		}
	}
	return fs
}

// inJSON returns a text as it stands between the quotes of a JSON string.
func inJSON(v string, escapeHTML bool) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	if e.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(b.String()), `"`), `"`)
}

// inASCII is as Python's json.dumps writes it.
func inASCII(v string) string {
	var b strings.Builder
	for _, r := range inJSON(v, false) {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// inBase64 returns the letters that stand for v alone in base64 of a text in
// which so many bytes, modulo three, are before it: those that it shares with
// what is around it are left out. Both alphabets are there.
func inBase64(v string, before int) []string {
	letters := func(bytes int) int { return (bytes*8 + 5) / 6 }
	text := append(make([]byte, before), v...)
	from, to := letters(before), len(text)*8/6
	if from >= to {
		return nil
	}
	return []string{base64.RawStdEncoding.EncodeToString(text)[from:to], base64.RawURLEncoding.EncodeToString(text)[from:to]}
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
		if !r.secrets.first[data[i]] {
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
	if len(data) < indexed {
		return "", s.begins[string(data)]
	}
	for _, t := range s.texts[[indexed]byte(data[:indexed])] {
		if len(t) > len(data) {
			open = open || strings.HasPrefix(t, string(data))
			continue
		}
		if string(data[:len(t)]) == t {
			return t, open
		}
	}
	return "", open
}

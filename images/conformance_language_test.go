package images

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// archiveFile is one file of an archive in txtar form.
type archiveFile struct {
	name    string
	line    int // of its marker
	content string
}

// parseArchive reads an archive in the form of golang.org/x/tools/txtar, and knows the lines. What comes before the first
// marker is a comment.
func parseArchive(file, content string) ([]archiveFile, error) {
	var files []archiveFile
	seen := map[string]bool{}
	number := 0
	for line := range strings.Lines(content) {
		number++
		marker := strings.TrimSpace(line)
		name, ok := strings.CutPrefix(marker, "-- ")
		name, closed := strings.CutSuffix(name, " --")
		switch {
		case ok && closed && strings.HasPrefix(line, "-- "):
			if seen[name] {
				return nil, fmt.Errorf("%s:%d: %s is there twice", file, number, name)
			}
			seen[name] = true
			files = append(files, archiveFile{name: name, line: number})
		case len(files) > 0:
			files[len(files)-1].content += line
		}
	}
	return files, nil
}

// kitLanguage is what the kit's cases need of a language.
type kitLanguage struct {
	file       string            // its path
	values     map[string]string // by name
	exceptions map[string]string // reasons by CASE or CASE/SNIPPET
	snippets   map[string]string // code by CASE/SNIPPET
}

// parseKitLanguage reads a language's file and holds it against the cases: it has every snippet that no exception
// excuses, and nothing that no case knows. The error tells all that is wrong.
func parseKitLanguage(file, content string, cases []kitCase) (kitLanguage, error) {
	l := kitLanguage{
		file: file, values: map[string]string{}, exceptions: map[string]string{}, snippets: map[string]string{},
	}
	files, err := parseArchive(file, content)
	if err != nil {
		return l, err
	}
	var wrong []string
	for _, f := range files {
		switch f.name {
		case "values":
			wrong = append(wrong, l.lines(f, l.values, "=", strconv.Unquote)...)
		case "exceptions":
			wrong = append(wrong, l.lines(f, l.exceptions, ":", func(reason string) (string, error) { return reason, nil })...)
		default:
			l.snippets[f.name] = strings.TrimSuffix(f.content, "\n")
		}
	}
	wrong = append(wrong, l.unfit(cases)...)
	if len(wrong) > 0 {
		return l, fmt.Errorf("%s does not fit the kit:\n%s", file, strings.Join(wrong, "\n"))
	}
	return l, nil
}

// lines reads the lines "NAME SEPARATOR REST" of a file into a map.
func (l *kitLanguage) lines(f archiveFile, into map[string]string, separator string,
	read func(string) (string, error),
) (wrong []string) {
	number := f.line
	for line := range strings.Lines(f.content) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, rest, ok := strings.Cut(line, separator)
		name, rest = strings.TrimSpace(name), strings.TrimSpace(rest)
		text, err := read(rest)
		_, twice := into[name]
		switch {
		case !ok || name == "" || rest == "":
			wrong = append(wrong, fmt.Sprintf("line %d: %q is no line of %s", number, line, f.name))
		case err != nil:
			wrong = append(wrong, fmt.Sprintf("line %d: %s is no Go string", number, rest))
		case twice:
			wrong = append(wrong, fmt.Sprintf("line %d: %s is there twice", number, name))
		default:
			into[name] = text
		}
	}
	return wrong
}

// unfit says what the language lacks, and what it has that no case knows.
func (l *kitLanguage) unfit(cases []kitCase) (wrong []string) {
	snippets, values, excusable := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, c := range cases {
		excusable[c.name] = true
		for _, s := range c.steps {
			if s.verb != "run" {
				continue
			}
			id := c.name + "/" + s.snippet
			_, has := l.snippets[id]
			excused := l.exceptions[c.name] != "" || l.exceptions[id] != ""
			if !has && !excused && !snippets[id] {
				wrong = append(wrong, fmt.Sprintf("case %s: no snippet %s, and no exception", c.name, id))
			}
			snippets[id], excusable[id] = true, true
			for _, name := range s.expected.values() {
				if _, known := l.values[name]; has && !known && !values[name] {
					wrong = append(wrong, fmt.Sprintf("case %s: no value %s, which line %d refers to", c.name, name, s.line))
				}
				values[name] = true
			}
		}
	}
	for _, surplus := range []struct {
		what  string
		has   map[string]string
		known map[string]bool
	}{{"snippet", l.snippets, snippets}, {"value", l.values, values}, {"exception for", l.exceptions, excusable}} {
		for _, name := range slices.Sorted(maps.Keys(surplus.has)) {
			if !surplus.known[name] {
				wrong = append(wrong, fmt.Sprintf("%s %s: no case knows it", surplus.what, name))
			}
		}
	}
	return wrong
}

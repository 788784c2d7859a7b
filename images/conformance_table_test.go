package images

import (
	"fmt"
	"strings"
)

// The lines of a page between which the table stands.
const (
	tableBegins = "<!-- conformance: written by go test -tags integration ./images -run TestConformance -update -->\n"
	tableEnds   = "<!-- conformance: end -->\n"
)

// kitTable is which case passes in which language.
type kitTable struct {
	cases     []kitCase
	languages []string
	verdicts  map[string]map[string]verdict // by language and case
}

func (t *kitTable) add(language string, verdicts map[string]verdict) {
	if t.verdicts == nil {
		t.verdicts = map[string]map[string]verdict{}
	}
	t.verdicts[language] = verdicts
}

// isWhole reports whether every case was played against every language.
func (t *kitTable) isWhole() bool {
	for _, l := range t.languages {
		if len(t.verdicts[l]) != len(t.cases) {
			return false
		}
	}
	return true
}

// replaceIn returns a page with the table in the place of the old one.
func (t *kitTable) replaceIn(page string) (string, error) {
	before, rest, begins := strings.Cut(page, tableBegins)
	_, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		return "", fmt.Errorf("the page has no lines %q and %q", strings.TrimSpace(tableBegins), strings.TrimSpace(tableEnds))
	}
	return before + tableBegins + t.markdown() + tableEnds + after, nil
}

// markdown returns the table, a case a line, and under it the exceptions by number.
func (t *kitTable) markdown() string {
	var b, notes strings.Builder
	fmt.Fprintf(&b, "\n| case | %s |\n|---|%s\n", strings.Join(t.languages, " | "), strings.Repeat("---|", len(t.languages)))
	numbers := map[string]int{} // of the reasons, by language and reason
	for _, c := range t.cases {
		fmt.Fprintf(&b, "| %s |", c.name)
		for _, l := range t.languages {
			v := t.verdicts[l][c.name]
			var cell []string
			if !v.isExcused {
				cell = append(cell, "pass")
			}
			if !v.isExcused && len(v.exceptions) > 0 {
				cell = append(cell, "but for")
			}
			for _, reason := range v.exceptions {
				note := l + ": " + reason
				if numbers[note] == 0 {
					numbers[note] = len(numbers) + 1
					fmt.Fprintf(&notes, "%d. %s\n", numbers[note], note)
				}
				cell = append(cell, fmt.Sprintf("[%d]", numbers[note]))
			}
			fmt.Fprintf(&b, " %s |", strings.Join(cell, " "))
		}
		b.WriteString("\n")
	}
	if notes.Len() > 0 {
		fmt.Fprintf(&b, "\nExceptions, which the test holds to be true:\n\n%s", notes.String())
	}
	b.WriteString("\n")
	return b.String()
}

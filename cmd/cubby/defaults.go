package main

import (
	"fmt"
	"slices"

	"cubby/orchestrator"
)

// noContexts as the only name of default contexts means that there are none.
const noContexts = "none"

// defaultContexts returns the normalised names of the languages whose default contexts are to be there from the start:
// those of the named ones that were chosen.
func defaultContexts(names []string, chosen []orchestrator.Language) ([]string, error) {
	if slices.Equal(names, []string{noContexts}) {
		return nil, nil
	}
	own, err := ownLanguages()
	if err != nil {
		return nil, err
	}
	var present []string
	for _, name := range names {
		normal, err := orchestrator.LookupLanguage(slices.Concat(own, chosen), name)
		if err != nil {
			return nil, fmt.Errorf("default-contexts: %w", err)
		}
		if slices.ContainsFunc(chosen, func(l orchestrator.Language) bool { return l.Name == normal }) {
			present = append(present, normal)
		}
	}
	return present, nil
}

package imagetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator"
	"cubby/orchestrator/kernel"
)

// Run is one execution as it went.
type Run struct {
	Out, Err string
	Results  []Result
	Errors   []orchestrator.Event
	Done     orchestrator.Event
}

// Result is one that an execution brought. Numbers in the data are as they were written: a json.Number each.
type Result struct {
	Main bool
	Data map[string]any
}

// Want is what an execution must bring. Empty fields mean nothing of the kind; several of a kind are a line each. An
// ending that is not ok and of which no error tells is an error here.
type Want struct {
	Main, Displays, Out, Err, Error string
}

// Want returns what the execution brought.
func (r *Run) Want() Want {
	errs := make([]string, 0, len(r.Errors))
	for _, ev := range r.Errors {
		errs = append(errs, ev.Name+": "+ev.Value)
	}
	if len(errs) == 0 && r.Done.Ending != kernel.EndingOK {
		errs = append(errs, fmt.Sprintf("%s: %s", r.Done.Ending, r.Done.Value))
	}
	return Want{Main: r.texts(true), Displays: r.texts(false), Out: r.Out, Err: r.Err, Error: strings.Join(errs, "\n")}
}

// texts returns the text of the main results, or of the others.
func (r *Run) texts(main bool) string {
	var texts []string
	for _, result := range r.Results {
		if result.Main == main {
			texts = append(texts, fmt.Sprint(result.Data["text/plain"]))
		}
	}
	return strings.Join(texts, "\n")
}

// ending is how an execution ends that brings what is wanted.
func (w Want) ending() kernel.Ending {
	if w.Error != "" {
		return kernel.EndingError
	}
	return kernel.EndingOK
}

// Cells are run one after the other in one context.
type Cells []struct {
	Name, Code string
	Want       Want
}

// Play runs the cells, each as a subtest.
func (cells Cells) Play(t *testing.T, c *Context) {
	t.Helper()
	for _, cell := range cells {
		t.Run(cell.Name, func(t *testing.T) {
			r := c.In(t).Do(cell.Code)
			require.Equal(t, cell.Want, r.Want(), r.Done.Value)
			require.Equal(t, cell.Want.ending(), r.Done.Ending, r.Done.Value)
		})
	}
}

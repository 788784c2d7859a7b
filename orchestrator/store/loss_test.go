package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"cubby/orchestrator/store"
)

func TestLoss(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	happened := func(generation int, why string) func(store.Loss) store.Loss {
		return func(l store.Loss) store.Loss { return l.Happened(generation, why, noon.Add(time.Duration(generation))) }
	}
	tell := func(generation int) func(store.Loss) store.Loss {
		return func(l store.Loss) store.Loss { return l.Tell(generation) }
	}
	merge := func(with store.Loss) func(store.Loss) store.Loss {
		return func(l store.Loss) store.Loss { return l.Merge(with) }
	}
	at := func(generation int) time.Time { return noon.Add(time.Duration(generation)) }
	for name, tc := range map[string]struct {
		steps  []func(store.Loss) store.Loss
		want   store.Loss
		untold bool
	}{
		"nothing lost":                    {},
		"lost":                            {steps: []func(store.Loss) store.Loss{happened(1, "a")}, want: store.Loss{Lost: 1, At: at(1), Why: "a"}, untold: true},
		"noted twice":                     {steps: []func(store.Loss) store.Loss{happened(1, "a"), happened(1, "b")}, want: store.Loss{Lost: 1, At: at(1), Why: "a"}, untold: true},
		"told":                            {steps: []func(store.Loss) store.Loss{happened(1, "a"), tell(1)}, want: store.Loss{Lost: 1, Told: 1, At: at(1), Why: "a"}},
		"told before it was noted":        {steps: []func(store.Loss) store.Loss{tell(1), happened(1, "a")}, want: store.Loss{Lost: 1, Told: 1, At: at(1), Why: "a"}},
		"the next one is untold again":    {steps: []func(store.Loss) store.Loss{happened(1, "a"), tell(1), happened(2, "b")}, want: store.Loss{Lost: 2, Told: 1, At: at(2), Why: "b"}, untold: true},
		"the first untold reason stays":   {steps: []func(store.Loss) store.Loss{happened(1, "a"), happened(2, "b")}, want: store.Loss{Lost: 2, At: at(2), Why: "a"}, untold: true},
		"an old loss told is not a newer": {steps: []func(store.Loss) store.Loss{happened(1, "a"), happened(2, "b"), tell(1)}, want: store.Loss{Lost: 2, Told: 1, At: at(2), Why: "a"}, untold: true},
		"a newer loss told is all told":   {steps: []func(store.Loss) store.Loss{happened(1, "a"), happened(2, "b"), tell(2)}, want: store.Loss{Lost: 2, Told: 2, At: at(2), Why: "a"}},
		"an older copy undoes no telling": {steps: []func(store.Loss) store.Loss{happened(1, "a"), merge(store.Loss{Told: 1})}, want: store.Loss{Lost: 1, Told: 1, At: at(1), Why: "a"}},
		"an older copy undoes no loss":    {steps: []func(store.Loss) store.Loss{happened(1, "a"), merge(store.Loss{})}, want: store.Loss{Lost: 1, At: at(1), Why: "a"}, untold: true},
		"a newer copy brings its loss":    {steps: []func(store.Loss) store.Loss{tell(1), merge(store.Loss{Lost: 2, At: at(2), Why: "b"})}, want: store.Loss{Lost: 2, Told: 1, At: at(2), Why: "b"}, untold: true},
	} {
		t.Run(name, func(t *testing.T) {
			var l store.Loss
			for _, step := range tc.steps {
				l = step(l)
			}
			require.Equal(t, tc.want, l)
			require.Equal(t, tc.untold, l.Untold())
		})
	}
}

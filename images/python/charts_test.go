//go:build integration

package python

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// plane is a chart's keys for its axes where it has no labels.
const plane = `"x_label": null, "y_label": null, "x_unit": null, "y_unit": null`

func TestCharts(t *testing.T) {
	d := boot(t)
	d.do("import datetime\nimport numpy as np, matplotlib.pyplot as plt")
	for _, c := range []struct{ name, code, chart string }{
		{
			"bars", "plt.bar(['a', 'b'], [1, np.nan], label='g'); plt.title('T'); plt.ylabel('Y (m)')",
			`{"type": "bar", "title": "T", "x_label": null, "y_label": "Y (m)", "x_unit": null, "y_unit": "m", "elements": [
			{"label": "a", "group": "g", "value": 1}, {"label": "b", "group": "g", "value": null}]}`,
		},
		{
			"bars of equal height", "plt.bar(['a', 'b'], [2, 2]); plt.xlabel('X'); plt.ylabel('Y')",
			`{"type": "bar", "title": null, "x_label": "X", "y_label": "Y", "x_unit": null, "y_unit": null, "elements": [
			{"label": "a", "group": "Group 0", "value": 2}, {"label": "b", "group": "Group 0", "value": 2}]}`,
		},
		{"bars with error bars", "plt.bar(['a', 'b'], [1, 2], yerr=[.1, .2], capsize=3)", `{"type": "bar", "title": null, ` + plane + `,
			"elements": [{"label": "a", "group": "Group 0", "value": 1}, {"label": "b", "group": "Group 0", "value": 2}]}`},
		{
			"horizontal bars", "plt.barh(['a', 'b'], [1, 2]); plt.xlabel('X [s]'); plt.ylabel('Y')",
			`{"type": "bar", "title": null, "x_label": "Y", "y_label": "X [s]", "x_unit": null, "y_unit": "s", "elements": [
			{"label": "a", "group": "Group 0", "value": 1}, {"label": "b", "group": "Group 0", "value": 2}]}`,
		},
		{"bars between unnamed ticks", "plt.bar([1, 2015.5], [1, 2])", `{"type": "bar", "title": null, ` + plane + `,
			"elements": [{"label": "1", "group": "Group 0", "value": 1}, {"label": "2015.5", "group": "Group 0", "value": 2}]}`},
		{
			"bars side by side", "plt.bar([-.2, .8], [1, 2], .4, label='u'); plt.bar([.2, 1.2], [3, 3], .4, label='v'); plt.xticks([0, 1], ['a', 'b'])",
			`{"type": "bar", "title": null, ` + plane + `, "elements": [
			{"label": "a", "group": "u", "value": 1}, {"label": "b", "group": "u", "value": 2},
			{"label": "a", "group": "v", "value": 3}, {"label": "b", "group": "v", "value": 3}]}`,
		},
		{"pie", "plt.pie([1, 3], labels=['a', 'b'])", `{"type": "pie", "title": null, "elements": [
			{"label": "a", "angle": 90, "radius": 1}, {"label": "b", "angle": 270, "radius": 1}]}`},
		{
			"box", "plt.boxplot([[1, 2, 3, 4, 20], [2, 3, 4, 7, 8]], tick_labels=['a', 'b'], patch_artist=True)",
			`{"type": "box_and_whisker", "title": null, ` + plane + `, "elements": [
			{"label": "a", "min": 1, "first_quartile": 2, "median": 3, "third_quartile": 4, "max": 4, "outliers": [20]},
			{"label": "b", "min": 2, "first_quartile": 3, "median": 4, "third_quartile": 7, "max": 8, "outliers": []}]}`,
		},
		{
			"horizontal box of lines", "plt.boxplot([[1, 2, 3, 4, 20, 21]], orientation='horizontal'); plt.xlabel('X')",
			`{"type": "box_and_whisker", "title": null, "x_label": null, "y_label": "X", "x_unit": null, "y_unit": null, "elements": [
			{"label": "1", "min": 1, "first_quartile": 2.25, "median": 3.5, "third_quartile": 16, "max": 21, "outliers": []}]}`,
		},
		{"picture", "plt.imshow([[1, 2]]); plt.title('T')", `{"type": "unknown", "title": "T", "elements": []}`},
		{
			"several axes", "figure, (left, right) = plt.subplots(1, 2); left.bar(['a'], [2]); right.imshow([[1]]); figure.suptitle('S')",
			`{"type": "superchart", "title": "S", "elements": [{"type": "bar", "title": null, ` + plane + `,
			"elements": [{"label": "a", "group": "Group 0", "value": 2}]}, {"type": "unknown", "title": null, "elements": []}]}`,
		},
		{"blank axes", "plt.subplots()", `{}`},
		{"more points than can be read", "plt.plot(np.zeros(100_001))", `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := d.data(t, c.code+";")
			requireJSON(t, c.chart, data["e2b/chart"])
			require.True(t, strings.HasPrefix(data["image/png"].(string), "iVBORw0KGgo"))
		})
	}
	t.Run("blank figure, which is no picture either", func(t *testing.T) {
		require.Equal(t, map[string]any{"text/plain": "<Figure size 640x480 with 0 Axes>", "e2b/chart": map[string]any{}}, d.data(t, "plt.figure();"))
	})
	t.Run("objects with a method of their own", func(t *testing.T) {
		data := d.data(t, "class C:\n    def _repr_e2b_chart_(self): return {'type': 'pie', 'title': None, 'elements': []}\nC()")
		requireJSON(t, `{"type": "pie", "title": null, "elements": []}`, data["e2b/chart"])
	})
	t.Run("what cannot be read is still shown", func(t *testing.T) {
		data := d.data(t, "figure, ax = plt.subplots(); ax.plot([1, 2]); ax.get_title = lambda: 1 / 0;")
		requireJSON(t, `{}`, data["e2b/chart"])
		require.Contains(t, data, "image/png")
	})
}

func TestChartsOfPoints(t *testing.T) {
	d := boot(t)
	d.do("import datetime\nimport numpy as np, matplotlib.pyplot as plt")
	for _, c := range []struct{ name, code, kind, elements, xScale, yScale string }{
		{
			"line", "plt.plot([1, 2, 4], [1, np.nan, 3], label='l')", "line",
			`[{"label": "l", "points": [[1, 1], [2, null], [4, 3]]}]`, "linear", "linear",
		},
		{
			"integers of numpy", "plt.plot(np.arange(3), np.arange(3)); plt.xticks(np.arange(3))", "line",
			`[{"label": "Line 0", "points": [[0, 0], [1, 1], [2, 2]]}]`, "linear", "linear",
		},
		{
			"line with error bars", "plt.errorbar([1, 2, 4], [1, 2, 3], yerr=.1, capsize=2, label='e')", "line",
			`[{"label": "e", "points": [[1, 1], [2, 2], [4, 3]]}]`, "linear", "linear",
		},
		{
			"line without a name and with error bars", "plt.errorbar([1, 2, 4], [1, 2, 3], xerr=.1)", "line",
			`[{"label": "Line 0", "points": [[1, 1], [2, 2], [4, 3]]}]`, "linear", "linear",
		},
		{
			"dates", "plt.plot([datetime.date(2024, 1, d) for d in (1, 2, 3)], [1, 10, 100]); plt.yscale('log')", "line",
			`[{"label": "Line 0", "points": [["2024-01-01", 1], ["2024-01-02", 10], ["2024-01-03", 100]]}]`, "datetime", "log",
		},
		{
			"points", "plt.scatter(['a', 'b', 'c'], [1, 2, 4], label='s')", "scatter",
			`[{"label": "s", "points": [[0, 1], [1, 2], [2, 4]]}]`, "categorical", "linear",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			chart := d.data(t, c.code+";")["e2b/chart"].(map[string]any)
			require.Equal(t, []any{c.kind, c.xScale, c.yScale}, []any{chart["type"], chart["x_scale"], chart["y_scale"]})
			requireJSON(t, c.elements, chart["elements"])
			for _, key := range []string{"title", "x_label", "y_label", "x_unit", "y_unit"} {
				require.Contains(t, chart, key)
				require.Nil(t, chart[key])
			}
			for _, axis := range []string{"x", "y"} {
				require.NotEmpty(t, chart[axis+"_ticks"])
				require.Len(t, chart[axis+"_tick_labels"], len(chart[axis+"_ticks"].([]any)))
			}
		})
	}
}

func TestFigureIsTheSameAfterItWasRead(t *testing.T) {
	d := boot(t)
	d.do("import matplotlib.pyplot as plt\nfigure, ax = plt.subplots(); bars = ax.errorbar([1, 2], [3, 4], yerr=.1, label='e')")
	code := "[len(ax._children), len(ax.containers), bars[0].get_label(), len(ax.get_legend_handles_labels()[1])]"
	require.Equal(t, "[2, 1, '_nolegend_', 1]", d.do(code).mains())
	d.do("display(figure)")
	require.Equal(t, "[2, 1, '_nolegend_', 1]", d.do(code).mains())
}

func TestFontsOfFigures(t *testing.T) {
	d := boot(t)
	r := d.do("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.title('日本語 中文 한국어 é')")
	require.Empty(t, r.errors)
	require.Empty(t, r.err(), "a glyph is missing, or the fonts had to be searched")
	require.Equal(t, "True", d.do("import matplotlib, os\nos.listdir(matplotlib.get_cachedir()) == [n for n in "+
		"os.listdir('/usr/local/share/matplotlib') if n.startswith('fontlist')]").mains())
}

func TestNothingIsImportedForResults(t *testing.T) {
	d := boot(t)
	d.do("[1]\nimport sys")
	require.Equal(t, "[]", d.do("[n for n in ('pandas', 'matplotlib', 'numpy', 'PIL', 'pydantic', 'e2b_charts') if n in sys.modules]").mains())
}

func TestSlimImage(t *testing.T) {
	slim, err := findImage(t.Context(), "python-slim")
	require.NoError(t, err)
	d := bootOnly(t, slim)
	require.Equal(t, "ready", d.setup("/home/user", nil).Type)
	require.Equal(t, []any{1.0, "a"}, d.data(t, "[1, 'a']")["application/json"])
	frame := d.data(t, "import pandas as pd\npd.DataFrame({'a': [1, None]})")
	requireJSON(t, `{"a": [1, null]}`, frame["e2b/data"])
	require.Contains(t, frame["text/html"], "<table")
	figure := d.data(t, "import matplotlib.pyplot as plt\nplt.bar(['a'], [2]);")
	requireJSON(t, `{"type": "bar", "title": null, `+plane+`, "elements": [{"label": "a", "group": "Group 0", "value": 2}]}`, figure["e2b/chart"])
	require.True(t, strings.HasPrefix(figure["image/png"].(string), "iVBORw0KGgo"))
	require.Equal(t, "ModuleNotFoundError", d.do("import scipy").error())
}

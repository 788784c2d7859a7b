//go:build integration

package python

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// data runs a cell and returns the MIME bundle of its only result.
func (d *driver) data(t *testing.T, code string) map[string]any {
	t.Helper()
	d.t = t
	r := d.do(code)
	require.Empty(t, r.errors)
	require.Empty(t, r.err())
	require.Len(t, r.results, 1, r.want())
	return r.results[0].Data
}

// requireJSON requires that a value is that of a JSON text.
func requireJSON(t *testing.T, want string, got any) {
	t.Helper()
	text, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, want, string(text))
}

func TestDataFrames(t *testing.T) {
	d := boot(t)
	d.do("import datetime, decimal\nimport numpy as np, pandas as pd")
	for _, c := range []struct{ name, code, data string }{
		{"numbers and texts", "{'i': [1, 2], 'f': [0.5, 1], 's': ['a', '日本']}", `{"i": [1, 2], "f": [0.5, 1], "s": ["a", "日本"]}`},
		{"NaN and infinities", "{'f': [float('nan'), float('inf')]}", `{"f": [null, null]}`},
		{
			"missing values", "{'t': pd.to_datetime(['2024-01-02', None]), 'i': pd.array([1, None], dtype='Int64'), 'o': [None, pd.NA]}",
			`{"t": ["2024-01-02T00:00:00", null], "i": [1, null], "o": [null, null]}`,
		},
		{
			"times", "{'t': [datetime.date(2024, 1, 2)], 'z': [pd.Timestamp('2024-01-02 03:04', tz='UTC')], 'd': [pd.Timedelta('1h')]}",
			`{"t": ["2024-01-02"], "z": ["2024-01-02T03:04:00+00:00"], "d": ["0 days 01:00:00"]}`,
		},
		{
			"numpy's values", "{'n': [np.int8(3), np.array([1, np.nan]), np.datetime64('2024-01-02')], 'b': np.array([True, False, True])}",
			`{"n": [3, [1, null], "2024-01-02"], "b": [true, false, true]}`,
		},
		{"other objects", "{'o': [decimal.Decimal('1.10'), 1j, {1: (2, {3})}]}", `{"o": ["1.10", "1j", {"1": [2, [3]]}]}`},
		{"no rows", "{'a': []}", `{"a": []}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			requireJSON(t, c.data, d.data(t, "pd.DataFrame("+c.code+")")["e2b/data"])
		})
	}
	t.Run("names that are no texts", func(t *testing.T) {
		data := d.data(t, "pd.DataFrame([[1, 2, 3]], columns=[0, pd.Timestamp('2024-01-02'), ('a', 'b')])")["e2b/data"]
		requireJSON(t, `{"0": [1], "2024-01-02T00:00:00": [2], "('a', 'b')": [3]}`, data)
	})
	t.Run("columns of one name", func(t *testing.T) {
		requireJSON(t, `{"a": [2]}`, d.data(t, "pd.DataFrame([[1, 2]], columns=['a', 'a'])")["e2b/data"])
	})
	t.Run("text and HTML are there too", func(t *testing.T) {
		data := d.data(t, "pd.DataFrame({'a': [1]})")
		require.Contains(t, data["text/html"], "<table")
		require.Equal(t, "   a\n0  1", data["text/plain"])
	})
	t.Run("a very large one is not told as data", func(t *testing.T) {
		data := d.data(t, "pd.DataFrame(np.zeros((250_001, 1)))")
		require.NotContains(t, data, "e2b/data")
		require.Contains(t, data["text/html"], "<table")
	})
	t.Run("one that holds very much in its cells is not either", func(t *testing.T) {
		for _, cell := range []string{"np.zeros(100_000)", "[0] * 100_000", "{'a': [[0] * 1000] * 100}"} {
			require.NotContains(t, d.data(t, "pd.DataFrame({'a': ["+cell+"] * 3})"), "e2b/data", cell)
			require.Contains(t, d.data(t, "pd.DataFrame({'a': ["+cell+"] * 2})"), "e2b/data", cell)
		}
	})
	t.Run("one that is too large for a frame is not either", func(t *testing.T) {
		data := d.data(t, "pd.DataFrame({'a': ['x' * 1000] * 7000})")
		require.NotContains(t, data, "e2b/data")
		require.Contains(t, data["text/html"], "<table")
	})
	t.Run("a series has none", func(t *testing.T) {
		require.NotContains(t, d.data(t, "pd.Series([1])"), "e2b/data")
	})
	t.Run("objects with a method of their own", func(t *testing.T) {
		data := d.data(t, "class D:\n    def _repr_e2b_data_(self): return {'a': [1, float('nan')]}\nD()")
		requireJSON(t, `{"a": [1, null]}`, data["e2b/data"])
	})
	t.Run("a class that is no class any more", func(t *testing.T) {
		d.t = t
		r := d.do("pd.DataFrame, kept = None, pd.DataFrame\nkept({'a': [1]})")
		require.Equal(t, want{main: "   a\n0  1"}, r.want())
		require.NotContains(t, r.results[0].Data, "e2b/data")
	})
}

func TestListsAndDicts(t *testing.T) {
	d := boot(t)
	d.do("import datetime, enum\nimport numpy as np")
	for _, c := range []struct{ code, data string }{
		{"[1, 'a', None, True]", `[1, "a", null, true]`},
		{"{'a': {'b': [1.5]}}", `{"a": {"b": [1.5]}}`},
		{"{1: 'int', None: 'none', 2.5: 'float', datetime.date(2024, 1, 2): 'date'}", `{"1": "int", "null": "none", "2.5": "float", "2024-01-02": "date"}`},
		{"[np.int64(1), np.float32(0.5), np.array([[1, 2]]), np.bool_(True)]", `[1, 0.5, [[1, 2]], true]`},
		{"[float('nan'), float('inf')]", `[null, null]`},
		{"[]", `[]`},
	} {
		t.Run(c.code, func(t *testing.T) {
			requireJSON(t, c.data, d.data(t, c.code)["application/json"])
		})
	}
	for _, code := range []string{
		"[object()]", "{'a': {1}}", "[2 ** 70]", "x = []; x.append(x); x", "['\\ud800']", "(1, 2)", "list(range(1_000_000))",
	} {
		t.Run("none of "+code, func(t *testing.T) {
			data := d.data(t, code)
			require.NotContains(t, data, "application/json")
			require.NotEmpty(t, data["text/plain"])
		})
	}
	t.Run("arrays of any size have to be few", func(t *testing.T) {
		require.NotContains(t, d.data(t, "[np.zeros(250_001)]"), "application/json")
		require.Contains(t, d.data(t, "[np.zeros(240_000)]"), "application/json")
	})
	t.Run("JSON that is shown as such", func(t *testing.T) {
		requireJSON(t, `{"a": [1]}`, d.data(t, "from IPython.display import JSON\nJSON({'a': [1]})")["application/json"])
	})
}

func TestKindsOfResults(t *testing.T) {
	d := boot(t)
	d.do("from IPython.display import *")
	for _, c := range []struct{ code, mime, value string }{
		{"HTML('<b>b</b>')", "text/html", "<b>b</b>"},
		{"Markdown('*m*')", "text/markdown", "*m*"},
		{"SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')", "image/svg+xml", `<svg xmlns="http://www.w3.org/2000/svg"/>`},
		{"Latex('$x$')", "text/latex", "$x$"},
		{"Javascript('1')", "application/javascript", "1"},
		{"class P:\n    def _repr_pdf_(self): return b'%PDF'\nP()", "application/pdf", "JVBERg=="},
		{"class J:\n    def _repr_jpeg_(self): return b'\\xff\\xd8\\xff'\nJ()", "image/jpeg", "/9j/"},
	} {
		t.Run(c.mime, func(t *testing.T) {
			require.Equal(t, c.value, strings.TrimSpace(d.data(t, c.code)[c.mime].(string)))
		})
	}
	t.Run("several in one cell come in their order", func(t *testing.T) {
		d.t = t
		r := d.do("for i in range(3): display(i)\n[3]")
		require.Equal(t, want{main: "[3]", displays: "0\n1\n2"}, r.want())
	})
}

func TestPictures(t *testing.T) {
	d := boot(t)
	d.do("from PIL import Image\npicture = Image.new('RGB', (2, 2))")
	isPNG := func(t *testing.T, data map[string]any) {
		t.Helper()
		require.True(t, strings.HasPrefix(data["image/png"].(string), "iVBORw0KGgo"))
	}
	t.Run("a value", func(t *testing.T) { isPNG(t, d.data(t, "picture")) })
	t.Run("shown", func(t *testing.T) { isPNG(t, d.data(t, "picture.show()")) })
	t.Run("saved under a name", func(t *testing.T) {
		isPNG(t, d.data(t, "picture.save('saved.gif')"))
		require.Equal(t, "(2, 2)", d.data(t, "Image.open('saved.gif').size")["text/plain"])
	})
	t.Run("saved in the cell that imports", func(t *testing.T) {
		d := boot(t)
		isPNG(t, d.data(t, "import PIL.Image\nPIL.Image.new('L', (2, 2)).save('saved.png')"))
	})
	t.Run("saved into a file of the user's", func(t *testing.T) {
		d.t = t
		require.Equal(t, want{}, d.do("import io, pathlib\npicture.save(io.BytesIO(), 'PNG'); picture.save(pathlib.Path('saved.png'))").want())
	})
	t.Run("not saved, not shown", func(t *testing.T) {
		d.t = t
		require.Equal(t, want{error: "FileNotFoundError"}, d.do("picture.save('/home/user/none/saved.png')").want())
	})
}

func TestPlotly(t *testing.T) {
	d := boot(t)
	for _, code := range []string{"import plotly.express as px\nfigure = px.line(x=[1, 2], y=[3, 4])\nfigure", "figure.show()"} {
		data := d.data(t, code)
		require.Contains(t, data["application/vnd.plotly.v1+json"], "data")
		require.Contains(t, data["text/html"], "plotly")
		require.Less(t, len(data["text/html"].(string)), 100_000, "plotly's own code is not in each result")
	}
}

//go:build integration

package java

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCells(t *testing.T) {
	c := boot(t)
	for _, cell := range []struct {
		name, code string
		want       want
	}{
		{"value of the last expression", "int x = 1;\nx + 1", want{main: "2"}},
		{"state is kept", "x", want{main: "1"}},
		{"a semicolon does not hide the value", "1 + 1;", want{main: "2"}},
		{"declaration has no value", "var y = List.of(x);", want{}},
		{"assignment has no value", "x = 5;", want{}},
		{"null is no result", "(Object) null", want{}},
		{"array", "new int[][] {{1}, {2, 3}}", want{main: "[[1], [2, 3]]"}},
		{"text as it is", `"a\n\"b\""`, want{main: "a\n\"b\""}},
		{"types may be declared again", "record P(int a) {}", want{}},
		{"with other members", "record P(int a, int b) {}\nnew P(1, 2)", want{main: "P[a=1, b=2]"}},
		{"methods that call each other", "boolean even(int n) { return n == 0 || odd(n - 1); }\n" +
			"boolean odd(int n) { return n != 0 && even(n - 1); }\neven(10)", want{main: "true"}},
		{"line ends of Windows", "int w = 4;\r\nw\r\n", want{main: "4"}},
		{"comments everywhere", "/* a */ 1 + // b\n 1 /* c */", want{main: "2"}},
		{"text block", "\"\"\"\n  a\n  \"\"\".strip()", want{main: "a"}},
		{"display", `display("a"); display("text/html", "<b>c</b>"); 3`, want{displays: "a\n", main: "3"}},
		{"standard input", "System.in.read()", want{main: "-1"}},
		{"properties are those of the context", `System.getProperty("A") + System.getenv("A")`, want{main: "aa"}},
		{"streams replaced in a cell", "System.setOut(new PrintStream(new ByteArrayOutputStream()));\nSystem.out.println(1);", want{}},
		{"are back in the next", "System.out.println(1);", want{out: "1\n"}},
		{"parallel stream", "IntStream.range(0, 3).parallel().forEach(i -> System.out.print('p'));", want{out: "ppp"}},
		{"and again, on the same threads", "IntStream.range(0, 3).parallel().forEach(i -> System.out.print('p'));", want{out: "ppp"}},
		{"pool", "var pool = Executors.newFixedThreadPool(1);\npool.submit(() -> System.out.println(1)).get()", want{out: "1\n"}},
		{"a pool prints for what runs", "pool.submit(() -> System.out.println(2)).get()", want{out: "2\n"}},
		{"virtual threads", "Thread.startVirtualThread(() -> System.out.println(\"v\")).join();", want{out: "v\n"}},
		{"compiler", "String s = 1;", want{error: "CompilationException: line 1: incompatible types: int cannot be converted to java.lang.String"}},
		{"line of the cell", "int ok = 1;\n\nnope();", want{error: "CompilationException: line 3: cannot find symbol"}},
		{"type that nobody declares", "Nope n = null;", want{error: "CompilationException: line 1: cannot find symbol"}},
		{"syntax", "int z = ;", want{error: "SyntaxError: line 1: illegal start of expression"}},
		{"nothing of an incomplete cell runs", "System.out.println(1);\nfor (;;) {", want{error: "SyntaxError: line 2: reached end of file while parsing"}},
		{"method that lacks one", "void lacking() { missing(); }", want{}},
		{"is said when it is called", "lacking();", want{error: "UnresolvedReferenceException: void lacking() { missing(); } needs method missing()"}},
		{"exception without a message", "throw new NoSuchElementException();", want{error: "NoSuchElementException: "}},
		{"exception of one's own", "class Mine extends Exception {}\nthrow new Mine();", want{error: "Mine: "}},
		{"exception whose message raises", "throw new RuntimeException() { public String getMessage() { throw new Error(); } };", want{error: "Error: "}},
		{"value that cannot be shown", "new Object() { public String toString() { throw new Error(\"t\"); } }", want{error: "Error: t"}},
		{"endless recursion", "int deep(int n) { return deep(n) + 1; }\ndeep(0)", want{error: "StackOverflowError: "}},
		{
			"list that holds itself", "var l = new ArrayList<Object>(); l.add(l); display(\"application/json\", l);",
			want{error: "IllegalArgumentException: data nests more than 256 deep"},
		},
		{"all of Java SE", "java.net.http.HttpClient.newHttpClient() != null && java.sql.Types.INTEGER == 4", want{main: "true"}},
	} {
		t.Run(cell.name, func(t *testing.T) {
			c.t = t
			require.Equal(t, cell.want, c.do(cell.code).want())
		})
	}
}

func TestTracebackNamesCellsAndLines(t *testing.T) {
	c := boot(t)
	c.do("int half(int n) {\n  return 1 / n;\n}")
	r := c.do("try {\n  half(0);\n} catch (ArithmeticException e) {\n  throw new IllegalStateException(\"outer\", e);\n}")
	require.Len(t, r.errors, 1)
	require.Equal(t, "java.lang.IllegalStateException: outer\n\tat (cell 2, line 4)\n"+
		"Caused by: java.lang.ArithmeticException: / by zero\n\tat half (cell 1, line 2)\n\tat (cell 2, line 2)",
		r.errors[0].Traceback)
	r = c.do("int a = 1;\nint b =\ta.length();")
	require.Contains(t, r.errors[0].Traceback, "line 2: int cannot be dereferenced\nint b =\ta.length();\n       \t ^")
}

func TestPictures(t *testing.T) {
	c := boot(t)
	r := c.do(`import java.awt.image.BufferedImage;
var picture = new BufferedImage(40, 20, BufferedImage.TYPE_INT_RGB);
picture.createGraphics().drawString("text", 2, 15);
picture`)
	require.Empty(t, r.errors)
	require.Contains(t, r.results[0].data["image/png"], "iVBORw0KGgo")
	r = c.do(`display("image/png", new byte[] {1, 2}); display("application/json", Map.of("a", List.of(1, 2.5, Double.NaN)))`)
	require.Equal(t, "AQI=", r.results[0].data["image/png"])
	require.Equal(t, map[string]any{"a": []any{1.0, 2.5, nil}}, r.results[1].data["application/json"])
}

func TestVariablesOfAnExecutionAreRestored(t *testing.T) {
	c := boot(t)
	const ask = `System.getenv("A") + System.getenv("B") + System.getProperty("A") + System.getProperty("B")`
	require.Equal(t, "xyxy", c.doWith(ask, map[string]string{"A": "x", "B": "y"}).want().main)
	require.Equal(t, "anullanull", c.do(ask).want().main)
	c.doWith(`System.setProperty("A", "mine")`, map[string]string{"A": "x"})
	require.Equal(t, "anullanull", c.do(ask).want().main)
}

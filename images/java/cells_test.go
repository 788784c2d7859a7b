//go:build integration

package java

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCells(t *testing.T) {
	cells{
		{"value of the last expression", "int x = 1;\nx + 1", want{Main: "2"}},
		{"state is kept", "x", want{Main: "1"}},
		{"no directory of somebody else's", `System.getenv("PWD")`, want{}},
		{"a semicolon does not hide the value", "1 + 1;", want{Main: "2"}},
		{"declaration has no value", "var y = List.of(x);", want{}},
		{"assignment has no value", "x = 5;", want{}},
		{"null is no result", "(Object) null", want{}},
		{"array", "new int[][] {{1}, {2, 3}}", want{Main: "[[1], [2, 3]]"}},
		{"text as it is", `"a\n\"b\""`, want{Main: "a\n\"b\""}},
		{"types may be declared again", "record P(int a) {}", want{}},
		{"with other members", "record P(int a, int b) {}\nnew P(1, 2)", want{Main: "P[a=1, b=2]"}},
		{"methods that call each other", "boolean even(int n) { return n == 0 || odd(n - 1); }\n" +
			"boolean odd(int n) { return n != 0 && even(n - 1); }\neven(10)", want{Main: "true"}},
		{"line ends of Windows", "int w = 4;\r\nw\r\n", want{Main: "4"}},
		{"comments everywhere", "/* a */ 1 + // b\n 1 /* c */", want{Main: "2"}},
		{"text block", "\"\"\"\n  a\n  \"\"\".strip()", want{Main: "a"}},
		{"display", `display("a"); display("text/html", "<b>c</b>"); 3`, want{Displays: "a\n", Main: "3"}},
		{"standard input", "System.in.read()", want{Main: "-1"}},
		{"properties are those of the context", `System.getProperty("A") + System.getenv("A")`, want{Main: "aa"}},
		{"streams replaced in a cell", "System.setOut(new PrintStream(new ByteArrayOutputStream()));\nSystem.out.println(1);", want{}},
		{"are back in the next", "System.out.println(1);", want{Out: "1\n"}},
		{"parallel stream", "IntStream.range(0, 3).parallel().forEach(i -> System.out.print('p'));", want{Out: "ppp"}},
		{"and again, on the same threads", "IntStream.range(0, 3).parallel().forEach(i -> System.out.print('p'));", want{Out: "ppp"}},
		{"pool", "var pool = Executors.newFixedThreadPool(1);\npool.submit(() -> System.out.println(1)).get()", want{Out: "1\n"}},
		{"a pool prints for what runs", "pool.submit(() -> System.out.println(2)).get()", want{Out: "2\n"}},
		{"virtual threads", "Thread.startVirtualThread(() -> System.out.println(\"v\")).join();", want{Out: "v\n"}},
		{"compiler", "String s = 1;", want{Error: "CompilationException: line 1: incompatible types: int cannot be converted to java.lang.String"}},
		{"too long a text", "var s = \"" + strings.Repeat("x", 70_000) + "\";", want{Error: "CompilationException: line 1: constant string too long"}},
		{"another after it", "x + 1", want{Main: "6"}},
		{"too long a text in pieces", "String s = \"" + strings.Repeat("x", 40_000) + "\"\n + \"" + strings.Repeat("y", 40_000) + "\";", want{Error: "CompilationException: line 1: constant string too long"}},
		{"another after that", "var s = \"short\";\ns", want{Main: "short"}},
		{"line of the cell", "int ok = 1;\n\nnope();", want{Error: "CompilationException: line 3: cannot find symbol"}},
		{"type that nobody declares", "Nope n = null;", want{Error: "CompilationException: line 1: cannot find symbol"}},
		{"syntax", "int z = ;", want{Error: "SyntaxError: line 1: illegal start of expression"}},
		{"nothing of an incomplete cell runs", "System.out.println(1);\nfor (;;) {", want{Error: "SyntaxError: line 2: reached end of file while parsing"}},
		{"method that lacks one", "void lacking() { missing(); }", want{}},
		{"is said when it is called", "lacking();", want{Error: "UnresolvedReferenceException: void lacking() { missing(); } needs method missing()"}},
		{"exception without a message", "throw new NoSuchElementException();", want{Error: "NoSuchElementException: "}},
		{"exception of one's own", "class Mine extends Exception {}\nthrow new Mine();", want{Error: "Mine: "}},
		{"exception whose message raises", "throw new RuntimeException() { public String getMessage() { throw new Error(); } };", want{Error: "Error: "}},
		{"value that cannot be shown", "new Object() { public String toString() { throw new Error(\"t\"); } }", want{Error: "Error: t"}},
		{"endless recursion", "int deep(int n) { return deep(n) + 1; }\ndeep(0)", want{Error: "StackOverflowError: "}},
		{
			"list that holds itself", "var l = new ArrayList<Object>(); l.add(l); display(\"application/json\", l);",
			want{Error: "IllegalArgumentException: data nests more than 256 deep"},
		},
		{"all of Java SE", "java.net.http.HttpClient.newHttpClient() != null && java.sql.Types.INTEGER == 4", want{Main: "true"}},
	}.Play(t, boot(t))
}

func TestTracebackNamesCellsAndLines(t *testing.T) {
	c := boot(t)
	c.Do("int half(int n) {\n  return 1 / n;\n}")
	r := c.Do("try {\n  half(0);\n} catch (ArithmeticException e) {\n  throw new IllegalStateException(\"outer\", e);\n}")
	require.Len(t, r.Errors, 1)
	require.Equal(t, "java.lang.IllegalStateException: outer\n\tat (cell 2, line 4)\n"+
		"Caused by: java.lang.ArithmeticException: / by zero\n\tat half (cell 1, line 2)\n\tat (cell 2, line 2)",
		r.Errors[0].Traceback)
	r = c.Do("int a = 1;\nint b =\ta.length();")
	require.Contains(t, r.Errors[0].Traceback, "line 2: int cannot be dereferenced\nint b =\ta.length();\n       \t ^")
}

func TestPictures(t *testing.T) {
	c := boot(t)
	r := c.Do(`import java.awt.image.BufferedImage;
var picture = new BufferedImage(40, 20, BufferedImage.TYPE_INT_RGB);
picture.createGraphics().drawString("text", 2, 15);
picture`)
	require.Empty(t, r.Errors)
	require.Contains(t, r.Results[0].Data["image/png"], "iVBORw0KGgo")
	r = c.Do(`display("image/png", new byte[] {1, 2}); display("application/json", Map.of("a", List.of(1, 2.5, Double.NaN)))`)
	require.Equal(t, "AQI=", r.Results[0].Data["image/png"])
	require.Equal(t, map[string]any{"a": []any{json.Number("1"), json.Number("2.5"), nil}}, r.Results[1].Data["application/json"])
	r = c.Do(`display("application/javascript", "1".getBytes());
display("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", new byte[] {1, 2});`)
	require.Equal(t, "1", r.Results[0].Data["application/javascript"])
	require.Equal(t, "AQI=", r.Results[1].Data["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"])
}

func TestVariablesOfAnExecutionAreRestored(t *testing.T) {
	c := boot(t)
	const ask = `System.getenv("A") + System.getenv("B") + System.getProperty("A") + System.getProperty("B")`
	require.Equal(t, "xyxy", c.DoWith(ask, map[string]string{"A": "x", "B": "y"}).Want().Main)
	require.Equal(t, "anullanull", c.Do(ask).Want().Main)
	c.DoWith(`System.setProperty("A", "mine")`, map[string]string{"A": "x"})
	require.Equal(t, "anullanull", c.Do(ask).Want().Main)
}

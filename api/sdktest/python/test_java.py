"""Java contexts."""

import unittest

from case import Case


class TestJava(Case):
    async def test_output_and_the_value_of_the_last_expression(self):
        execution = await self.run_code('System.out.println("Hello, World!");\n6 * 7', language="java")
        self.assertEqual("".join(execution.logs.stdout), "Hello, World!\n")
        self.assertEqual((execution.text, execution.results[0].is_main_result), ("42", True))

    async def test_environment_variables_are_system_properties_too(self):
        code = 'System.getProperty("FOO")'
        execution = await self.run_code(code, language="java", envs={"FOO": "bar"})
        self.assertEqual(execution.results[0].text, "bar")
        self.assertEqual((await self.run_code(code, language="java")).results, [])
        self.assertEqual((await self.run_code('System.getenv("FOO")', language="java", envs={"FOO": "x"})).text, "x")

    async def test_state_stays_in_a_context_with_its_directory(self):
        context = await self.new_context(language="java", cwd="/home/user/java/of")
        self.assertEqual((context.language, context.cwd), ("java", "/home/user/java/of"))
        await self.run_code("int twice(int n) { return 2 * n; }", context=context)
        execution = await self.run_code('twice(21) + " " + Path.of("").toAbsolutePath()', context=context)
        self.assertEqual(execution.text, "42 /home/user/java/of")

    async def test_an_exception_is_an_error_with_its_traceback(self):
        execution = await self.sandbox.run_code('throw new IllegalStateException("no");', language="java")
        self.assertEqual((execution.error.name, execution.error.value), ("IllegalStateException", "no"))
        self.assertIn("java.lang.IllegalStateException: no\n\tat (cell ", execution.error.traceback)

    async def test_a_value_has_more_forms_than_text(self):
        code = 'display("text/html", "<b>bold</b>"); display("application/json", Map.of("a", 1));'
        execution = await self.run_code(code, language="java")
        self.assertEqual((execution.results[0].html, execution.results[1].json), ("<b>bold</b>", {"a": 1}))


class TestJavaAsynchronously(TestJava):
    asynchronous = True


if __name__ == "__main__":
    unittest.main()

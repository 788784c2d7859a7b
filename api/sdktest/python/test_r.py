"""R: values, tables and plots as results, and conditions as errors."""

import base64
import unittest

from case import Case


class TestR(Case):
    async def test_working_directory_and_variables_are_as_r_prints_them(self):
        execution = await self.run_code("getwd()", language="r")
        self.assertEqual(execution.results[0].text, '[1] "/home/user"')
        execution = await self.run_code('Sys.getenv("FOO")', language="r", envs={"FOO": "bar"})
        self.assertEqual(execution.text, '[1] "bar"')
        execution = await self.run_code('Sys.getenv("FOO", unset = "unset")', language="r")
        self.assertEqual(execution.text, '[1] "unset"')

    async def test_state_stays_and_the_last_value_is_the_main_result(self):
        context = await self.new_context(language="r", cwd="/home/user/new")
        await self.run_code("x <- 20", context=context)
        code = 'x + 1; cat("out\\n"); message("err"); basename(getwd()); x + 22'
        execution = await self.run_code(code, context=context)
        self.assertEqual(
            [(result.text, result.is_main_result) for result in execution.results],
            [("[1] 21", False), ('[1] "new"', False), ("[1] 42", True)],
        )
        self.assertEqual((execution.logs.stdout, execution.logs.stderr), (["out\n"], ["err\n"]))

    async def test_a_plot_is_a_picture_and_a_table_has_html(self):
        execution = await self.run_code("plot(1:3)", language="r")
        self.assertEqual(base64.b64decode(execution.results[0].png)[1:4], b"PNG")
        execution = await self.run_code("data.frame(a = 1:2)", language="r")
        self.assertIn("<table", execution.results[0].html)

    async def test_an_error_has_its_class_its_message_and_where_it_came_from(self):
        code = 'f <- function() stop(errorCondition("went wrong", class = "wrong"))\nf()'
        error = (await self.sandbox.run_code(code, language="r")).error
        self.assertEqual((error.name, error.value), ("wrong", "went wrong"))
        self.assertIn("1. f()", error.traceback)


class TestAsyncR(TestR):
    asynchronous = True


if __name__ == "__main__":
    unittest.main()

"""Executions: output, results, errors, environment variables and text."""

import base64
import json
import unittest

from case import Case
from e2b_code_interpreter import InvalidArgumentException, SandboxException


class TestExecute(Case):
    async def test_state_stays_in_the_default_context_of_its_language(self):
        await self.run_code("counter = 1")
        self.assertEqual((await self.run_code("counter += 1; counter")).text, "2")
        self.assertEqual((await self.run_code("counter", language="python")).text, "2")

    async def test_a_language_that_is_not_there_is_refused(self):
        with self.assertRaises(SandboxException):
            await self.sandbox.run_code("1", language="cobol")

    async def test_context_and_language_together_are_refused(self):
        context = await self.new_context()
        with self.assertRaises(InvalidArgumentException) as caught:
            await self.sandbox.run_code("1", context=context, language="python")
        self.assertEqual(
            str(caught.exception), "You can provide context or language, but not both at the same time."
        )

    async def test_one_print_is_one_event(self):
        seen = []
        execution = await self.run_code('print("hello")', on_stdout=seen.append)
        self.assertEqual((execution.logs.stdout, execution.logs.stderr), (["hello\n"], []))
        self.assertEqual([(message.line, message.error) for message in seen], [("hello\n", False)])
        self.assertTrue(seen[0].timestamp)

    async def test_callbacks_hear_of_everything(self):
        seen = []
        code = """
import sys
print('out')
print('err', file=sys.stderr)
display('shown')
1 / 0"""
        execution = await self.sandbox.run_code(
            code,
            on_stdout=lambda message: seen.append(("stdout", message.line)),
            on_stderr=lambda message: seen.append(("stderr", message.line)),
            on_result=lambda result: seen.append(("result", result.text, result.is_main_result)),
            on_error=lambda error: seen.append(("error", error.name, error.value)),
        )
        self.assertEqual(
            sorted(seen),
            [
                ("error", "ZeroDivisionError", "division by zero"),
                ("result", "shown", False),
                ("stderr", "err\n"),
                ("stdout", "out\n"),
            ],
        )
        self.assertEqual(seen[-1][0], "error")
        self.assertEqual(execution.error.name, "ZeroDivisionError")

    async def test_an_error_has_a_traceback_without_colours(self):
        execution = await self.sandbox.run_code('def f():\n    raise ValueError("bad value")\nf()')
        self.assertEqual((execution.error.name, execution.error.value), ("ValueError", "bad value"))
        self.assertIn('raise ValueError("bad value")', execution.error.traceback)
        self.assertNotIn("\x1b", execution.error.traceback)

    async def test_executions_are_counted_by_context(self):
        context = await self.new_context()
        self.assertEqual((await self.run_code("1", context=context)).execution_count, 1)
        self.assertEqual((await self.run_code("1", context=context)).execution_count, 2)

    async def test_values(self):
        for code, text in (
            ("1 + 1", "2"),
            ("'bar'", "bar"),
            ("v = 1", None),
            ("None", None),
            ("", None),
            ("    a = 1\n    a + 1", "2"),
            ('import asyncio\nawait asyncio.sleep(0, "awaited")', "awaited"),
            ("out = !echo from the shell\nout[0]", "from the shell"),
            ("%pwd", "/home/user"),
        ):
            with self.subTest(code):
                self.assertEqual((await self.run_code(code)).text, text)

    async def test_a_figure_is_a_png(self):
        execution = await self.run_code("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3, 4])\nplt.show()")
        (figure,) = execution.results
        self.assertEqual(base64.b64decode(figure.png)[:8], b"\x89PNG\r\n\x1a\n")
        self.assertFalse(figure.is_main_result)
        self.assertIn("png", figure.formats())

    async def test_many_results_come_in_their_order(self):
        execution = await self.run_code(
            "import pandas as pd\nfrom IPython.display import HTML\n"
            "display(HTML('<b>bold</b>'))\npd.DataFrame({'a': [1, 2]})"
        )
        html, frame = execution.results
        self.assertEqual(html.html, "<b>bold</b>")
        self.assertIn("<table", frame.html)
        self.assertEqual([result.is_main_result for result in execution.results], [False, True])
        self.assertEqual(execution.text, frame.text)

    async def test_environment_variables_hold_for_one_execution_and_are_then_as_before(self):
        context = await self.new_context()
        code = 'import os\nos.environ.get("GREETING"), os.environ["HOME"]'
        envs = {"GREETING": "it's \"quoted\"\n${HOME}", "HOME": "/elsewhere"}
        await self.run_code('import os; os.environ["GREETING"] = "mine"', context=context)
        execution = await self.run_code(code, context=context, envs=envs)
        self.assertEqual(execution.text, repr((envs["GREETING"], envs["HOME"])))
        self.assertEqual((await self.run_code(code, context=context)).text, "('mine', '/home/user')")
        await self.run_code('del os.environ["GREETING"]', context=context)
        await self.sandbox.run_code("1 / 0", context=context, envs=envs)
        self.assertEqual((await self.run_code(code, context=context)).text, "(None, '/home/user')")

    async def test_every_character_goes_in_and_comes_out(self):
        characters = "ä ß Ж 漢字 👩‍👩‍👧‍👦 \x85 \u2028 \u2029 \u200b \ufeff \x1c end"
        execution = await self.run_code(
            f"s = {json.dumps(characters, ensure_ascii=False)}\nprint(s)\nfrom IPython.display import HTML\nHTML(s)"
        )
        self.assertEqual("".join(execution.logs.stdout), characters + "\n")
        self.assertEqual(execution.results[0].html, characters)

    async def test_a_megabyte_of_output_is_complete_and_in_order(self):
        execution = await self.run_code('for i in range(131072):\n    print(f"{i:07d}")')
        lines = "".join(execution.logs.stdout).splitlines()
        self.assertEqual(list(map(int, lines)), list(range(131072)))

    async def test_three_megabytes_of_code_run(self):
        execution = await self.run_code(f's = "{"x" * (3 << 20)}"\nlen(s)')
        self.assertEqual(execution.text, str(3 << 20))

    async def test_code_above_the_limit_is_refused(self):
        with self.assertRaisesRegex(SandboxException, "413"):
            await self.sandbox.run_code("#" + "x" * ((4 << 20) + 1))

    async def test_an_execution_can_be_turned_into_json(self):
        execution = await self.run_code('print("out")\n"value"')
        self.assertEqual(json.loads(execution.to_json())["results"][0]["text"], "value")


class TestExecuteAsync(TestExecute):
    asynchronous = True


if __name__ == "__main__":
    unittest.main()

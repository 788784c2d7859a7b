"""The examples of E2B's documentation that need nothing but Python."""

import base64
import unittest

from e2b_code_interpreter import Sandbox


class TestExamples(unittest.TestCase):
    def test_quickstart(self):
        with Sandbox.create() as sandbox:
            sandbox.run_code("x = 1")
            execution = sandbox.run_code("x+=1; x")
            self.assertEqual(execution.text, "2")

    def test_code_contexts(self):
        sandbox = Sandbox.create()
        context = sandbox.create_code_context(cwd="/home/user", language="python", request_timeout=60_000)
        result = sandbox.run_code('print("Hello, world!")', context=context)
        self.assertEqual(result.logs.stdout, ["Hello, world!\n"])
        self.assertIn(context.id, [found.id for found in sandbox.list_code_contexts()])
        sandbox.restart_code_context(context)
        sandbox.remove_code_context(context)

    def test_streaming(self):
        seen = []
        code_to_run = """
    import time
    import sys
    print("This goes first to stdout")
    time.sleep(0.3)
    print("This goes later to stderr", file=sys.stderr)
    time.sleep(0.3)
    print("This goes last")
"""
        Sandbox.create().run_code(
            code_to_run,
            on_error=seen.append,
            on_stdout=lambda data: seen.append(str(data)),
            on_stderr=lambda data: seen.append(str(data)),
        )
        self.assertEqual(
            "".join(seen), "This goes first to stdout\nThis goes later to stderr\nThis goes last\n"
        )

    def test_streaming_of_results(self):
        seen = []
        code_to_run = """
import matplotlib.pyplot as plt

categories = ['Category A', 'Category B', 'Category C', 'Category D']
values = [10, 20, 15, 25]

plt.figure(figsize=(10, 6))
plt.bar(categories, values, color='green')
plt.xlabel('Categories')
plt.ylabel('Values')
plt.title('Values by Category')

plt.show()
"""
        Sandbox.create().run_code(code_to_run, on_result=lambda result: seen.append(result.png))
        self.assertEqual(len(seen), 1)
        self.assertTrue(base64.b64decode(seen[0]).startswith(b"\x89PNG"))

    def test_environment_variables(self):
        result = Sandbox.create().run_code(
            'import os; print(os.environ.get("MY_VAR"))', envs={"MY_VAR": "my_value"}
        )
        self.assertEqual(result.logs.stdout, ["my_value\n"])


if __name__ == "__main__":
    unittest.main()

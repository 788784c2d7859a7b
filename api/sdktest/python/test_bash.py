"""Bash, whose errors have an exit status and nothing else."""

import unittest

from e2b_code_interpreter import Sandbox


class TestBash(unittest.TestCase):
    def test_state(self):
        sandbox = Sandbox.create()
        sandbox.run_code("x=41; cd /tmp", language="bash")
        execution = sandbox.run_code("echo $((x + 1)); echo problem >&2; pwd", language="bash")
        self.assertEqual("".join(execution.logs.stdout), "42\n/tmp\n")
        self.assertEqual("".join(execution.logs.stderr), "problem\n")
        self.assertEqual(execution.results, [])
        self.assertIsNone(execution.error)

    def test_status(self):
        sandbox = Sandbox.create()
        context = sandbox.create_code_context(language="bash", cwd="/home/user/it's new")
        error = sandbox.run_code("(exit 3)", context=context).error
        self.assertEqual((error.name, error.value, error.traceback), ("", "3", ""))
        execution = sandbox.run_code('echo "$? $PWD"', context=context)
        self.assertEqual(execution.logs.stdout, ["3 /home/user/it's new\n"])
        sandbox.remove_code_context(context)

    def test_environment(self):
        sandbox = Sandbox.create()
        value = "it's \"$HOME\" `id`\n$(id)"
        execution = sandbox.run_code('printf %s "$FOO"', language="bash", envs={"FOO": value})
        self.assertEqual("".join(execution.logs.stdout), value)
        execution = sandbox.run_code('echo "${FOO-unset}"', language="bash")
        self.assertEqual(execution.logs.stdout, ["unset\n"])


if __name__ == "__main__":
    unittest.main()

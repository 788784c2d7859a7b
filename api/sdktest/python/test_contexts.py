"""Contexts: create, list, restart and remove."""

import asyncio
import unittest

from case import Case
from e2b_code_interpreter import Context, NotFoundException, SandboxException


class TestContexts(Case):
    async def test_a_directory_under_home_that_is_not_there_is_made(self):
        context = await self.new_context(cwd="/home/user/projects")
        execution = await self.run_code("import os; os.getcwd()", context=context)
        self.assertEqual(execution.text, "/home/user/projects")

    async def test_a_context_has_the_defaults_that_nobody_changed(self):
        context = await self.new_context()
        self.assertTrue(context.id)
        self.assertEqual((context.language, context.cwd), ("python", "/home/user"))

    async def test_code_runs_in_the_directory_that_was_asked_for(self):
        for cwd in "/tmp", "/home/user":
            with self.subTest(cwd):
                context = await self.new_context(cwd=cwd, language="python", request_timeout=60)
                self.assertEqual(context.cwd, cwd)
                self.assertEqual((await self.run_code("import os; os.getcwd()", context=context)).text, cwd)

    async def test_what_is_no_directory_or_language_is_refused_and_leaves_no_context(self):
        before = await self.ids()
        for options in {"cwd": "/no/such/directory"}, {"cwd": "/etc/hostname"}, {"language": "cobol"}:
            with self.subTest(options), self.assertRaises(SandboxException):
                await self.sandbox.create_code_context(**options)
        self.assertEqual(await self.ids(), before)

    async def test_variables_of_one_context_are_unknown_in_another(self):
        await self.run_code("x = 1")
        context = await self.new_context()
        foreign = await self.sandbox.run_code("x", context=context)
        self.assertEqual((foreign.error.name, foreign.error.value), ("NameError", "name 'x' is not defined"))
        await self.run_code("y = 10", context=context)
        self.assertEqual((await self.run_code("y", context=context)).text, "10")
        self.assertEqual((await self.run_code("x")).text, "1")

    async def test_the_list_holds_what_was_created_in_that_order(self):
        first = await self.new_context()
        second = await self.new_context(cwd="/tmp")
        found = (await self.sandbox.list_code_contexts())[-2:]
        self.assertEqual(
            [(context.id, context.language, context.cwd) for context in found],
            [(first.id, "python", "/home/user"), (second.id, "python", "/tmp")],
        )
        await self.sandbox.restart_code_context(first)
        self.assertEqual((await self.ids())[-2:], [first.id, second.id])

    async def test_a_restart_clears_variables_and_keeps_id_and_directory(self):
        for how in "object", "id":
            with self.subTest(how):
                context = await self.new_context(cwd="/tmp")
                await self.run_code("z = 1", context=context)
                await self.sandbox.restart_code_context(context if how == "object" else context.id)
                lost = await self.sandbox.run_code("z", context=context)
                self.assertEqual(lost.error.name, "NameError")
                self.assertEqual((await self.run_code("import os; os.getcwd()", context=context)).text, "/tmp")
                self.assertIn(context.id, await self.ids())

    async def test_a_removal_hides_the_context(self):
        for how in "object", "id":
            with self.subTest(how):
                context = await self.new_context()
                await self.sandbox.remove_code_context(context if how == "object" else context.id)
                self.assertNotIn(context.id, await self.ids())
                with self.assertRaises(NotFoundException):
                    await self.sandbox.run_code("1", context=context)

    async def test_a_context_that_is_not_there_is_not_found(self):
        context = Context(context_id="no-such-context", language="python", cwd="/tmp")
        for call in (
            self.sandbox.run_code("1", context=context),
            self.sandbox.restart_code_context(context),
            self.sandbox.remove_code_context(context.id),
        ):
            with self.subTest(), self.assertRaises(NotFoundException):
                await call

    async def test_contexts_run_at_the_same_time(self):
        meet = """
import os, time
open('/home/user/{me}', 'w').close()
deadline = time.monotonic() + 30
while not os.path.exists('/home/user/{other}') and time.monotonic() < deadline:
    time.sleep(0.01)
os.path.exists('/home/user/{other}')"""
        left, right = await self.new_context(), await self.new_context()
        answers = await asyncio.gather(
            self.run_code(meet.format(me="left", other="right"), context=left),
            self.run_code(meet.format(me="right", other="left"), context=right),
        )
        self.assertEqual([answer.text for answer in answers], ["True", "True"])
        await self.run_code("import os; os.remove('/home/user/left'); os.remove('/home/user/right')")


class TestContextsAsync(TestContexts):
    asynchronous = True


if __name__ == "__main__":
    unittest.main()

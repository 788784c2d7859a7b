"""What the test files share: one set of outcomes for the synchronous and the asynchronous SDK."""

import asyncio
import unittest

from e2b_code_interpreter import AsyncSandbox, Sandbox


class Synchronous:
    """Gives the synchronous SDK the asynchronous one's shape, so that one test serves both."""

    def __init__(self, sandbox):
        self._sandbox = sandbox

    def __getattr__(self, name):
        method = getattr(self._sandbox, name)

        async def call(*args, **kwargs):
            # In a thread, so that two calls of one test can run at the same time.
            return await asyncio.to_thread(method, *args, **kwargs)

        return call


class Case(unittest.IsolatedAsyncioTestCase):
    """A test with a sandbox of the synchronous SDK. A subclass with asynchronous = True takes the other."""

    asynchronous = False

    async def asyncSetUp(self):
        self.sandbox = await AsyncSandbox.create() if self.asynchronous else Synchronous(Sandbox.create())

    async def new_context(self, **options):
        """Creates a context that goes with the test."""
        context = await self.sandbox.create_code_context(**options)
        self.addAsyncCleanup(self._remove, context)
        return context

    async def _remove(self, context):
        if context.id in await self.ids():
            await self.sandbox.remove_code_context(context)

    async def run_code(self, code, **options):
        """Returns the execution of code that must not fail."""
        execution = await self.sandbox.run_code(code, **options)
        self.assertIsNone(execution.error, execution.error and execution.error.traceback)
        return execution

    async def ids(self):
        """Returns the ids of all contexts, in the order of the list."""
        return [context.id for context in await self.sandbox.list_code_contexts()]

"""Timeouts of the client."""

import asyncio
import unittest

from case import Case
from e2b_code_interpreter import TimeoutException


class TestTimeout(Case):
    async def test_an_execution_that_takes_too_long_is_interrupted_and_its_context_works_on(self):
        context = await self.new_context()
        await self.run_code("kept = 5", context=context)
        for code in "import time\nwhile True:\n    time.sleep(0.05)", "while True: pass":
            with self.subTest(code):
                with self.assertRaisesRegex(TimeoutException, "Execution timed out"):
                    await self.sandbox.run_code(code, context=context, timeout=0.5)
                self.assertEqual((await self.run_code("kept", context=context)).text, "5")

    async def test_no_timeout_means_none(self):
        self.assertEqual((await self.run_code('import time; time.sleep(1); "done"', timeout=0)).text, "done")

    async def test_a_create_that_is_given_up_leaves_no_context(self):
        before = await self.ids()
        with self.assertRaises(Exception):
            await self.sandbox.create_code_context(request_timeout=0.001)
        await asyncio.sleep(5)
        self.assertEqual(await self.ids(), before)


class TestTimeoutAsync(TestTimeout):
    asynchronous = True


if __name__ == "__main__":
    unittest.main()

"""What the SDK's debug mode answers itself."""

import unittest

from e2b_code_interpreter import AsyncSandbox, Sandbox


class TestDebug(unittest.TestCase):
    def test_a_sandbox_is_created_connected_to_prolonged_and_killed_without_a_request(self):
        created = Sandbox.create(timeout=60, metadata={"user": "1"})
        self.assertEqual(created.sandbox_id, "debug_sandbox_id")
        self.assertEqual(Sandbox.connect(created.sandbox_id).sandbox_id, created.sandbox_id)
        created.set_timeout(60)
        self.assertEqual(created.get_metrics(), [])
        self.assertTrue(created.kill())

    def test_a_sandbox_is_a_context_manager(self):
        with Sandbox.create() as sandbox:
            sandbox.run_code("survivor = 2")
        with Sandbox.create() as sandbox:
            self.assertEqual(sandbox.run_code("survivor").text, "2")

    def test_a_port_has_a_host_name(self):
        self.assertEqual(Sandbox.create().get_host(3000), "localhost:3000")


class TestDebugAsync(unittest.IsolatedAsyncioTestCase):
    async def test_a_sandbox_is_created_connected_to_prolonged_and_killed_without_a_request(self):
        created = await AsyncSandbox.create(timeout=60)
        self.assertEqual(created.sandbox_id, "debug_sandbox_id")
        self.assertEqual((await AsyncSandbox.connect(created.sandbox_id)).sandbox_id, created.sandbox_id)
        await created.set_timeout(60)
        self.assertEqual(await created.get_metrics(), [])
        self.assertTrue(await created.kill())

    async def test_callbacks_may_be_coroutines(self):
        lines = []

        async def hear(message):
            lines.append(message.line)

        sandbox = await AsyncSandbox.create()
        await sandbox.run_code("print('heard')", on_stdout=hear)
        self.assertEqual(lines, ["heard\n"])


if __name__ == "__main__":
    unittest.main()

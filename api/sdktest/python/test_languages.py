"""JavaScript and TypeScript, by the language of a call and by a context of their own."""

from case import Case


class TestLanguages(Case):
    async def test_javascript_keeps_its_state_from_call_to_call(self):
        await self.run_code('const kept = await Promise.resolve("kept")', language="js")
        self.assertEqual((await self.run_code("kept", language="javascript")).text, "'kept'")

    async def test_typescript_has_its_types_and_enums(self):
        execution = await self.run_code("enum Size { Small = 3 }\nconst s: Size = Size.Small\ns", language="ts")
        self.assertEqual(execution.text, "3")

    async def test_a_context_of_javascript_runs_where_asked(self):
        context = await self.new_context(cwd="/home/user/script", language="javascript")
        self.assertEqual(context.language, "javascript")
        self.assertEqual((await self.run_code("process.cwd()", context=context)).text, "'/home/user/script'")

    async def test_what_javascript_displays_is_a_result(self):
        execution = await self.run_code('display({ "text/html": "<b>b</b>" }); 2', language="js")
        self.assertEqual(execution.results[0].html, "<b>b</b>")
        self.assertEqual(execution.text, "2")

    async def test_an_error_of_javascript_is_told_by_name_message_and_stack(self):
        execution = await self.sandbox.run_code('throw new RangeError("went wrong")', language="js")
        self.assertEqual((execution.error.name, execution.error.value), ("RangeError", "went wrong"))
        self.assertRegex(execution.error.traceback, r"^RangeError: went wrong\n {4}at cell-\d+\.js:1:7$")

"""Contexts whose language is Deno."""

import unittest

from case import Case


class TestDeno(Case):
    async def test_a_context_in_a_directory_of_its_own(self):
        context = await self.new_context(language="deno", cwd="/home/user/projects")
        self.assertEqual((context.language, context.cwd), ("deno", "/home/user/projects"))
        self.assertEqual((await self.run_code("Deno.cwd()", context=context)).text, "/home/user/projects")

    async def test_the_default_context_of_the_language(self):
        code = 'const greeting: string = "Hello"; console.log(greeting)'
        self.assertEqual((await self.run_code(code, language="deno")).logs.stdout, ["Hello\n"])
        self.assertEqual((await self.run_code("greeting.length", language="deno")).text, "5")

    async def test_variables_last(self):
        context = await self.new_context(language="deno")
        self.assertEqual((await self.run_code("const arr = [1,2,3]", context=context)).results, [])
        self.assertEqual((await self.run_code("arr.length", context=context)).text, "3")

    async def test_a_fresh_context_does_not_see_the_variables_of_another(self):
        first, second = await self.new_context(language="deno"), await self.new_context(language="deno")
        await self.run_code("const mine = 1", context=first)
        error = (await self.sandbox.run_code("mine", context=second)).error
        self.assertEqual((error.name, error.value), ("ReferenceError", "mine is not defined"))


class TestDenoAsynchronously(TestDeno):
    asynchronous = True


if __name__ == "__main__":
    unittest.main()

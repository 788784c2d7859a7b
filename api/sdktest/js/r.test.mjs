// R: values, tables and plots as results, and conditions as errors.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newContext, sandbox } from './sandbox.mjs'

test('the working directory and variables are as R prints them', async () => {
  const where = await sandbox.runCode('getwd()', { language: 'r' })
  assert.equal(where.results[0].text, '[1] "/home/user"')
  const { text } = await sandbox.runCode('Sys.getenv("FOO")', { language: 'r', envs: { FOO: 'bar' } })
  assert.equal(text, '[1] "bar"')
  const after = await sandbox.runCode('Sys.getenv("FOO", unset = "unset")', { language: 'r' })
  assert.equal(after.text, '[1] "unset"')
})

test('state stays, and the last value is the main result', async (t) => {
  const context = await newContext(t, { language: 'r' })
  await sandbox.runCode('x <- 20', { context })
  const { results, logs } = await sandbox.runCode('x + 1; cat("out\\n"); message("err"); x + 22', { context })
  assert.deepEqual(results.map(({ text, isMainResult }) => [text, isMainResult]), [['[1] 21', false], ['[1] 42', true]])
  assert.deepEqual(logs, { stdout: ['out\n'], stderr: ['err\n'] })
})

test('a plot is a picture, and a table has HTML', async () => {
  const plot = await sandbox.runCode('plot(1:3)', { language: 'r' })
  assert.equal(Buffer.from(plot.results[0].png, 'base64').subarray(1, 4).toString(), 'PNG')
  const table = await sandbox.runCode('data.frame(a = 1:2)', { language: 'r' })
  assert.match(table.results[0].html, /<table/)
})

test('an error has its class, its message and where it came from', async () => {
  const code = 'f <- function() stop(errorCondition("went wrong", class = "wrong"))\nf()'
  const { error } = await sandbox.runCode(code, { language: 'r' })
  assert.deepEqual([error.name, error.value], ['wrong', 'went wrong'])
  assert.match(error.traceback, /1\. f\(\)/)
})

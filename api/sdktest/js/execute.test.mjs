// Executions: output, results, errors and environment variables.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvalidArgumentError, SandboxError } from '@e2b/code-interpreter'
import { newContext, run, sandbox } from './sandbox.mjs'

const png = (result) => Buffer.from(result.png, 'base64').subarray(0, 8).toString('latin1')
const pngMagic = '\x89PNG\r\n\x1a\n'

test('state stays in the default context', async () => {
  await run('counter = 1')
  assert.equal((await run('counter += 1; counter')).text, '2')
})

test('the default context is that of its language', async () => {
  await run('shared = "yes"')
  assert.equal((await run('shared', { language: 'python' })).text, 'yes')
})

test('the language of an execution may be spelt in any case', async () => {
  assert.equal((await run('1 + 1', { language: 'Python' })).text, '2')
})

test('a language that is not there is refused', async () => {
  await assert.rejects(sandbox.runCode('1', { language: 'cobol' }), SandboxError)
})

test('context and language together are refused', async (t) => {
  const context = await newContext(t)
  await assert.rejects(sandbox.runCode('1', { context, language: 'python' }), (error) => {
    assert.ok(error instanceof InvalidArgumentError)
    assert.equal(error.message, 'You can provide context or language, but not both at the same time.')
    return true
  })
})

test('executions are counted by context', async (t) => {
  const context = await newContext(t)
  assert.equal((await run('1', { context })).executionCount, 1)
  assert.equal((await run('1', { context })).executionCount, 2)
  await sandbox.restartCodeContext(context)
  assert.equal((await run('1', { context })).executionCount, 1)
})

test('one print is one event', async () => {
  const seen = []
  const { logs, results } = await run('print("hello")', { onStdout: (message) => seen.push(message) })
  assert.deepEqual(logs, { stdout: ['hello\n'], stderr: [] })
  assert.deepEqual(results, [])
  assert.deepEqual(seen.map(({ line, error }) => ({ line, error })), [{ line: 'hello\n', error: false }])
})

test('callbacks hear of everything while it happens', async () => {
  const seen = []
  const execution = await sandbox.runCode(`
import sys
print('out')
print('err', file=sys.stderr)
display('shown')
1 / 0`, {
    onStdout: ({ line }) => { seen.push(['stdout', line]) },
    onStderr: ({ line, error }) => { seen.push(['stderr', line, error]) },
    onResult: ({ text, isMainResult }) => { seen.push(['result', text, isMainResult]) },
    onError: ({ name, value }) => { seen.push(['error', name, value]) },
  })
  assert.deepEqual(seen.toSorted(), [
    ['error', 'ZeroDivisionError', 'division by zero'],
    ['result', 'shown', false],
    ['stderr', 'err\n', true],
    ['stdout', 'out\n'],
  ])
  assert.equal(seen.at(-1)[0], 'error')
  assert.equal(execution.error.name, 'ZeroDivisionError')
})

test('output arrives before the execution ends', async (t) => {
  const context = await newContext(t)
  const heard = sandbox.runCode(`
import os, time
print('started', flush=True)
deadline = time.monotonic() + 30
while not os.path.exists('/home/user/heard') and time.monotonic() < deadline:
    time.sleep(0.01)
os.path.exists('/home/user/heard')`, {
    context,
    onStdout: () => run('open("/home/user/heard", "w").close()'), // in the default context
  })
  const { text } = await heard
  assert.equal(text, 'True')
  await run('import os; os.remove("/home/user/heard")')
})

test('an error names the exception, and its traceback has no colours', async () => {
  const { error } = await sandbox.runCode('def f():\n    raise ValueError("bad value")\nf()')
  assert.equal(error.name, 'ValueError')
  assert.equal(error.value, 'bad value')
  assert.match(error.traceback, /raise ValueError\("bad value"\)/)
  assert.doesNotMatch(error.traceback, /\x1b/)
})

test('a syntax error is an error like others', async () => {
  const { error } = await sandbox.runCode('x = = 1')
  assert.equal(error.name, 'SyntaxError')
})

test('an error leaves the state as it was', async (t) => {
  const context = await newContext(t)
  await run('before = 7', { context })
  await sandbox.runCode('1 / 0', { context })
  assert.equal((await run('before', { context })).text, '7')
})

for (const [name, code, text] of [
  ['an expression', '1 + 1', '2'],
  ['a string without its quotes', '"bar"', 'bar'],
  ['nothing for a statement', 'v = 1', undefined],
  ['nothing for None', 'None', undefined],
  ['nothing for an empty cell', '', undefined],
  ['a cell that is indented as a whole', '    a = 1\n    a + 1', '2'],
  ['a top-level await', 'import asyncio\nawait asyncio.sleep(0, "awaited")', 'awaited'],
  ['a shell command', 'out = !echo from the shell\nout[0]', 'from the shell'],
  ['a magic', '%pwd', '/home/user'],
]) {
  test(`the value of ${name}`, async () => {
    assert.equal((await run(code)).text, text)
  })
}

test('a figure is a PNG', async () => {
  const { results } = await run('import matplotlib.pyplot as plt\nplt.plot([1, 2, 3, 4])\nplt.show()')
  assert.equal(results.length, 1)
  assert.equal(png(results[0]), pngMagic)
  assert.match(results[0].text, /^<Figure size \d+x\d+ with 1 Axes>$/)
  assert.equal(results[0].isMainResult, false)
  assert.ok(results[0].formats().includes('png'))
})

test('many results come in their order', async () => {
  const execution = await run(`
import pandas as pd
from IPython.display import HTML, Markdown
display(HTML('<b>bold</b>'))
display(Markdown('*markdown*'))
pd.DataFrame({'a': [1, 2]})`)
  const [html, markdown, frame] = execution.results
  assert.equal(execution.results.length, 3)
  assert.equal(html.html, '<b>bold</b>')
  assert.equal(markdown.markdown, '*markdown*')
  assert.match(frame.html, /<table/)
  assert.deepEqual([html, markdown, frame].map((result) => result.isMainResult), [false, false, true])
  assert.equal(execution.text, frame.text)
})

test('what a child process prints is heard', async () => {
  const { logs } = await run('import subprocess\n_ = subprocess.run(["sh", "-c", "echo out; echo err >&2"])')
  assert.deepEqual([logs.stdout.join(''), logs.stderr.join('')], ['out\n', 'err\n'])
})

test('input has nothing to read', async () => {
  const { error } = await sandbox.runCode('input()')
  assert.ok(error)
})

test('environment variables hold for one execution and are then as before', async (t) => {
  const context = await newContext(t)
  const code = 'import os\nos.environ.get("GREETING"), os.environ["HOME"]'
  await run('import os; os.environ["GREETING"] = "mine"', { context })
  const envs = { GREETING: `it's "quoted"\n\${HOME}`, HOME: '/elsewhere' }
  await run(`import os\nassert os.environ["GREETING"] == ${JSON.stringify(envs.GREETING)}\nassert os.environ["HOME"] == "/elsewhere"`, { context, envs })
  assert.equal((await run(code, { context })).text, "('mine', '/home/user')")
  await run('import os; del os.environ["GREETING"]', { context })
  await sandbox.runCode('1 / 0', { context, envs })
  assert.equal((await run(code, { context })).text, "(None, '/home/user')")
})

test('a child process has the environment of its execution', async () => {
  const { text } = await run('import subprocess\nsubprocess.check_output(["sh", "-c", "printf $WORD"], text=True)', { envs: { WORD: 'child' } })
  assert.equal(text, 'child')
})

test('an execution can be turned into JSON', async () => {
  const json = JSON.parse(JSON.stringify(await run('print("out")\n"value"')))
  assert.deepEqual(json.logs, { stdout: ['out\n'], stderr: [] })
  assert.equal(json.results[0].text, 'value')
})

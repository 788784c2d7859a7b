// Text: every character, and much of it, both ways.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run, sandbox } from './sandbox.mjs'

const characters = 'ä ß Ж 漢字 👩‍👩‍👧‍👦 \u0085 \u2028 \u2029 \u200b \ufeff \u001c end'

test('every character goes in and comes out', async () => {
  const { logs, results } = await run(`s = ${JSON.stringify(characters)}\nprint(s)\nfrom IPython.display import HTML\nHTML(s)`)
  assert.equal(logs.stdout.join(''), characters + '\n')
  assert.equal(results[0].html, characters)
})

test('characters as they are in the code come out as they are', async () => {
  const { text } = await run(`'''ä Ж 漢字 👋🏽'''`)
  assert.equal(text, 'ä Ж 漢字 👋🏽')
})

test('an emoji written in halves is whole', async () => {
  const { logs } = await run(`
import os, sys, time
sys.stdout.flush()
for byte in '👋'.encode():
    os.write(1, bytes([byte]))
    time.sleep(0.02)
os.write(1, b'\\n')
None`)
  assert.equal(logs.stdout.join(''), '👋\n')
})

test('a megabyte of emojis has no broken one', async () => {
  const { logs } = await run('print("👋" * 262144)')
  assert.equal(logs.stdout.join(''), '👋'.repeat(262144) + '\n')
})

test('a megabyte of lines is complete and in order', async () => {
  const { logs } = await run('for i in range(131072):\n    print(f"{i:07d}")')
  const lines = logs.stdout.join('').split('\n')
  assert.equal(lines.length, 131073)
  assert.ok(lines.slice(0, -1).every((line, i) => Number(line) === i))
})

test('three megabytes of code run', async () => {
  const { text } = await run(`s = "${'x'.repeat(3 << 20)}"\nlen(s)`)
  assert.equal(text, String(3 << 20))
})

test('code above the limit is refused', async () => {
  await assert.rejects(sandbox.runCode('#' + 'x'.repeat((4 << 20) + 1)), /413/)
})

test('bytes that are no text are replaced', async () => {
  const { logs } = await run('import os; _ = os.write(1, b"a\\xffb\\n")')
  assert.equal(logs.stdout.join(''), 'a\ufffdb\n')
})

// Contexts: create, list, restart and remove.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NotFoundError, SandboxError } from '@e2b/code-interpreter'
import { ids, newContext, run, sandbox } from './sandbox.mjs'

test('a directory under home that is not there is made', async (t) => {
  const context = await newContext(t, { cwd: '/home/user/projects' })
  const { text } = await run('import os; os.getcwd()', { context })
  assert.equal(text, '/home/user/projects')
  await run('open("made-here", "w").close()', { context })
})

test('a context has the defaults that nobody changed', async (t) => {
  const context = await newContext(t)
  assert.equal(context.language, 'python')
  assert.equal(context.cwd, '/home/user')
  assert.ok(context.id)
  assert.equal(context.contextId, context.id)
})

for (const cwd of ['/tmp', '/home/user']) {
  test(`code runs in ${cwd} where asked`, async (t) => {
    const context = await newContext(t, { cwd, language: 'python', requestTimeoutMs: 60_000 })
    assert.equal(context.cwd, cwd)
    assert.equal((await run('import os; os.getcwd()', { context })).text, cwd)
  })
}

test('a directory that is not there is refused, and no context stays behind', async () => {
  const before = await ids()
  await assert.rejects(sandbox.createCodeContext({ cwd: '/no/such/directory' }), SandboxError)
  assert.deepEqual(await ids(), before)
})

test('a file is refused as a directory', async () => {
  const before = await ids()
  await assert.rejects(sandbox.createCodeContext({ cwd: '/etc/hostname' }), SandboxError)
  assert.deepEqual(await ids(), before)
})

test('a language that is not there is refused', async () => {
  const before = await ids()
  await assert.rejects(sandbox.createCodeContext({ language: 'cobol' }), SandboxError)
  assert.deepEqual(await ids(), before)
})

test('variables of one context are unknown in another', async (t) => {
  await run('x = 1')
  const context = await newContext(t)
  const foreign = await sandbox.runCode('x', { context })
  assert.equal(foreign.error.name, 'NameError')
  assert.equal(foreign.error.value, "name 'x' is not defined")
  await run('y = 10', { context })
  assert.equal((await run('y', { context })).text, '10')
  assert.equal((await run('x')).text, '1')
})

test('the list holds what was created, in that order', async (t) => {
  const first = await newContext(t)
  const second = await newContext(t, { cwd: '/tmp' })
  const list = await sandbox.listCodeContexts()
  assert.deepEqual(list.slice(-2).map(({ id, language, cwd }) => ({ id, language, cwd })), [
    { id: first.id, language: 'python', cwd: '/home/user' },
    { id: second.id, language: 'python', cwd: '/tmp' },
  ])
  await sandbox.restartCodeContext(first)
  assert.deepEqual((await ids()).slice(-2), [first.id, second.id])
})

for (const [how, name] of [
  ['its object', (context) => context],
  ['its id', (context) => context.id],
  ['its contextId', (context) => context.contextId],
]) {
  test(`a restart by ${how} clears variables, and keeps id, directory and files`, async (t) => {
    const context = await newContext(t, { cwd: '/home/user/kept' })
    await run('z = 1; _ = open("file", "w").write("kept")', { context })
    await sandbox.restartCodeContext(name(context))
    assert.equal((await sandbox.runCode('z', { context })).error.name, 'NameError')
    assert.equal((await run('import os; os.getcwd()', { context })).text, '/home/user/kept')
    assert.equal((await run('open("file").read()', { context })).text, 'kept')
    assert.ok((await ids()).includes(context.id))
  })

  test(`a removal by ${how} hides the context`, async (t) => {
    const context = await newContext(t)
    await sandbox.removeCodeContext(name(context))
    assert.ok(!(await ids()).includes(context.id))
    await assert.rejects(sandbox.runCode('1', { context }), NotFoundError)
  })
}

test('a context that is not there is not found', async () => {
  const context = { id: 'no-such-context', language: 'python', cwd: '/tmp' }
  await assert.rejects(sandbox.runCode('1', { context }), NotFoundError)
  await assert.rejects(sandbox.restartCodeContext(context), NotFoundError)
  await assert.rejects(sandbox.removeCodeContext(context), NotFoundError)
  await assert.rejects(sandbox.removeCodeContext('no-such-context'), NotFoundError)
})

test('contexts run at the same time', async (t) => {
  const contexts = [await newContext(t), await newContext(t)]
  // Each sees the other's file only while both run.
  const meet = (me, other) => `
import os, time
open('/home/user/${me}', 'w').close()
deadline = time.monotonic() + 30
while not os.path.exists('/home/user/${other}') and time.monotonic() < deadline:
    time.sleep(0.01)
os.path.exists('/home/user/${other}')`
  const answers = await Promise.all([
    run(meet('left', 'right'), { context: contexts[0] }),
    run(meet('right', 'left'), { context: contexts[1] }),
  ])
  assert.deepEqual(answers.map(({ text }) => text), ['True', 'True'])
  await run("import os; os.remove('/home/user/left'); os.remove('/home/user/right')")
})

test('executions of one context run one after the other', async (t) => {
  const context = await newContext(t)
  await run('seen = []', { context })
  await Promise.all([1, 2, 3].map(() => run(
    'import time; seen.append("in"); time.sleep(0.2); seen.append("out")', { context })))
  assert.equal((await run('" ".join(seen)', { context })).text, 'in out in out in out')
})

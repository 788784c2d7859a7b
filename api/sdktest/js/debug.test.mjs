// What the SDK's debug mode answers itself.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sandbox } from '@e2b/code-interpreter'
import { run } from './sandbox.mjs'

test('a sandbox is created, connected to, prolonged and killed without a request', async () => {
  const created = await Sandbox.create({ timeoutMs: 60_000, metadata: { user: '1' } })
  assert.equal(created.sandboxId, 'debug_sandbox_id')
  const connected = await Sandbox.connect(created.sandboxId)
  assert.equal(connected.sandboxId, created.sandboxId)
  await created.setTimeout(60_000)
  assert.deepEqual(await created.getMetrics(), [])
  await created.kill()
  assert.equal(await Sandbox.kill(created.sandboxId), true)
})

test('two sandboxes of debug mode are the same', async () => {
  const [one, other] = [await Sandbox.create(), await Sandbox.connect('debug_sandbox_id')]
  await one.runCode('same = "the same"')
  assert.equal((await other.runCode('same')).text, 'the same')
})

test('a kill in debug mode leaves the contexts', async () => {
  await run('survivor = 3')
  await (await Sandbox.create()).kill()
  assert.equal((await run('survivor')).text, '3')
})

test('a port has a host name', async () => {
  assert.equal((await Sandbox.create()).getHost(3000), 'localhost:3000')
})

// Bash, whose errors have an exit status and nothing else.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sandbox } from '@e2b/code-interpreter'

test('state, streams and working directory last', async () => {
  const sandbox = await Sandbox.create()
  await sandbox.runCode('x=41; cd /tmp', { language: 'bash' })
  const execution = await sandbox.runCode('echo $((x + 1)); echo problem >&2; pwd', { language: 'bash' })
  assert.equal(execution.logs.stdout.join(''), '42\n/tmp\n')
  assert.equal(execution.logs.stderr.join(''), 'problem\n')
  assert.deepEqual(execution.results, [])
  assert.equal(execution.error, undefined)
})

test('a status that is not 0 is an error', async () => {
  const sandbox = await Sandbox.create()
  const context = await sandbox.createCodeContext({ language: 'bash', cwd: '/home/user/it\'s new' })
  const { error } = await sandbox.runCode('(exit 3)', { context })
  assert.deepEqual({ ...error }, { name: '', value: '3', traceback: '' })
  const { logs } = await sandbox.runCode('echo "$? $PWD"', { context })
  assert.deepEqual(logs.stdout, ["3 /home/user/it's new\n"])
  await sandbox.removeCodeContext(context)
})

test('environment variables are data', async () => {
  const sandbox = await Sandbox.create()
  const envs = { FOO: 'it\'s "$HOME" `id`\n$(id)' }
  const execution = await sandbox.runCode('printf %s "$FOO"', { language: 'bash', envs })
  assert.equal(execution.logs.stdout.join(''), envs.FOO)
  const after = await sandbox.runCode('echo "${FOO-unset}"', { language: 'bash' })
  assert.deepEqual(after.logs.stdout, ['unset\n'])
})

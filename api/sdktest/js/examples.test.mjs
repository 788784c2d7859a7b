// The examples of E2B's documentation that need nothing but Python.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Sandbox } from '@e2b/code-interpreter'

test('quickstart: a variable, and its value', async () => {
  const sbx = await Sandbox.create()
  await sbx.runCode('x = 1')
  const execution = await sbx.runCode('x+=1; x')
  assert.equal(execution.text, '2')
})

test('quickstart: hello world', async () => {
  const sbx = await Sandbox.create()
  const execution = await sbx.runCode('print("hello world")')
  assert.deepEqual(execution.logs.stdout, ['hello world\n'])
})

test('code contexts: create, list, restart, remove', async () => {
  const sandbox = await Sandbox.create()
  const context = await sandbox.createCodeContext({
    cwd: '/home/user',
    language: 'python',
    requestTimeoutMs: 60_000,
  })
  const result = await sandbox.runCode('print("Hello, world!")', { context })
  assert.deepEqual(result.logs.stdout, ['Hello, world!\n'])
  const contexts = await sandbox.listCodeContexts()
  assert.ok(contexts.some(({ id }) => id === context.id))
  await sandbox.restartCodeContext(context)
  await sandbox.restartCodeContext(context.contextId)
  await sandbox.removeCodeContext(context.contextId)
})

test('streaming: stdout and stderr of an indented cell', async () => {
  const seen = []
  const sandbox = await Sandbox.create()
  await sandbox.runCode(`
    import time
    import sys
    print("This goes first to stdout")
    time.sleep(0.3)
    print("This goes later to stderr", file=sys.stderr)
    time.sleep(0.3)
    print("This goes last")
  `, {
    onError: (error) => seen.push(error),
    onStdout: (data) => seen.push(data.line),
    onStderr: (data) => seen.push(data.line),
  })
  assert.deepEqual(seen, ['This goes first to stdout\n', 'This goes later to stderr\n', 'This goes last\n'])
})

test('streaming: results', async () => {
  const seen = []
  const sandbox = await Sandbox.create()
  await sandbox.runCode(`
    import matplotlib.pyplot as plt

    # Prepare data
    categories = ['Category A', 'Category B', 'Category C', 'Category D']
    values = [10, 20, 15, 25]

    # Create and customize the bar chart
    plt.figure(figsize=(10, 6))
    plt.bar(categories, values, color='green')
    plt.xlabel('Categories')
    plt.ylabel('Values')
    plt.title('Values by Category')

    # Display the chart
    plt.show()
  `, { onResult: (result) => seen.push(result.formats()) })
  assert.equal(seen.length, 1)
  assert.ok(seen[0].includes('png'))
})

test('static charts: the image of a plot', async () => {
  const sandbox = await Sandbox.create()
  const execution = await sandbox.runCode(`
import matplotlib.pyplot as plt

plt.plot([1, 2, 3, 4])
plt.ylabel('some numbers')
plt.show()
`)
  const firstResult = execution.results[0]
  assert.ok(Buffer.from(firstResult.png, 'base64').length > 1000)
})

test('analyze data: a CSV file, a table and a plot', async () => {
  const sandbox = await Sandbox.create()
  const execution = await sandbox.runCode(`
import pandas as pd
import matplotlib.pyplot as plt

pd.DataFrame({'release_date': ['1999-03-30', '2010-07-15'], 'vote_average': [8.2, 8.4]}).to_csv('dataset.csv', index=False)
df = pd.read_csv('dataset.csv')
df['year'] = pd.to_datetime(df['release_date']).dt.year
plt.figure()
plt.plot(df['year'], df['vote_average'])
plt.show()
df.describe()`)
  assert.equal(execution.error, undefined)
  assert.deepEqual(execution.results.map((result) => Boolean(result.png)), [true, false])
  assert.match(execution.results[1].html, /vote_average/)
})

test('environment variables: of one execution', async () => {
  const sandbox = await Sandbox.create()
  const result = await sandbox.runCode('import os; print(os.environ.get("MY_VAR"))', {
    envs: { MY_VAR: 'my_value' },
  })
  assert.deepEqual(result.logs.stdout, ['my_value\n'])
})

test('reference: an error is in the execution', async () => {
  const sandbox = await Sandbox.create()
  const { error, text, results } = await sandbox.runCode('undefined_name')
  assert.equal(error.name, 'NameError')
  assert.equal(text, undefined)
  assert.deepEqual(results, [])
})

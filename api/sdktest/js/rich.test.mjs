// Rich results of Python: data, JSON, pictures and charts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { run } from './sandbox.mjs'

// only returns the one result of code.
async function only(code) {
  const { results, logs } = await run(code)
  assert.deepEqual(logs, { stdout: [], stderr: [] })
  assert.equal(results.length, 1)
  return results[0]
}

// chart returns the chart of the one figure that code leaves open.
async function chart(code) {
  const figure = await only(`import numpy as np, matplotlib.pyplot as plt\n${code};`)
  assert.equal(figure.isMainResult, false)
  assert.match(figure.text, /^<Figure size \d+x\d+ with \d Axes>$/)
  assert.ok(figure.png)
  return figure.chart
}

const plane = { x_label: null, y_label: null, x_unit: null, y_unit: null }

test('a data frame is data, by column', async () => {
  const frame = await only(`
import pandas as pd
pd.DataFrame({'n': [1, None], 's': ['é', '日'], 't': pd.to_datetime(['2024-01-02', None])})`)
  assert.deepEqual(frame.data, { n: [1, null], s: ['é', '日'], t: ['2024-01-02T00:00:00', null] })
  assert.match(frame.html, /<table/)
  assert.equal(frame.isMainResult, true)
  assert.deepEqual([...frame.formats()].sort(), ['data', 'html'])
})

test('lists and dicts are JSON', async () => {
  const result = await only("{'a': [1, 2.5, None, float('nan')], 1: {'b': True}}")
  assert.deepEqual(result.json, { a: [1, 2.5, null, null], 1: { b: true } })
})

test('every key has its kind of value', async () => {
  for (const [key, mime, value] of [
    ['html', 'text/html', '<b>b</b>'],
    ['markdown', 'text/markdown', '*m*'],
    ['svg', 'image/svg+xml', '<svg/>'],
    ['png', 'image/png', 'iVBORw=='],
    ['jpeg', 'image/jpeg', '/9j/'],
    ['pdf', 'application/pdf', 'JVBERg=='],
    ['latex', 'text/latex', '$x$'],
    ['javascript', 'application/javascript', '1'],
    ['json', 'application/json', [1]],
    ['data', 'e2b/data', { a: [null] }],
  ]) {
    const result = await only(`import json\ndisplay(json.loads(${JSON.stringify(JSON.stringify({ [mime]: value }))}), raw=True)`)
    assert.deepEqual(result[key], value, key)
    assert.ok(result.formats().includes(key), key)
  }
})

test('other types are extra, which the SDK leaves in the raw result', async () => {
  const result = await only('import plotly.express as px\npx.line(x=[1, 2], y=[3, 4])')
  assert.equal(result.raw.extra['application/vnd.plotly.v1+json'].data.length, 1)
  assert.match(result.html, /plotly/)
})

test('pictures that are shown or saved', async () => {
  const { results } = await run("from PIL import Image\np = Image.new('RGB', (2, 2)); p.show(); p.save('p.png')\np")
  assert.deepEqual(results.map((result) => [Boolean(result.png), result.isMainResult]), [[true, false], [true, false], [true, true]])
})

test('a line chart', async () => {
  const line = await chart("plt.plot([1, 2, 4], [1, np.nan, 3], label='l'); plt.title('T'); plt.xlabel('Time (s)')")
  assert.deepEqual(
    { ...line, x_ticks: 0, y_ticks: 0, x_tick_labels: 0, y_tick_labels: 0 },
    {
      type: 'line', title: 'T', ...plane, x_label: 'Time (s)', x_unit: 's', x_scale: 'linear', y_scale: 'linear',
      x_ticks: 0, y_ticks: 0, x_tick_labels: 0, y_tick_labels: 0,
      elements: [{ label: 'l', points: [[1, 1], [2, null], [4, 3]] }],
    },
  )
  assert.equal(line.x_ticks.length, line.x_tick_labels.length)
})

test('a chart of each other kind', async () => {
  const points = await chart("plt.scatter(['a', 'b'], [1, 2])")
  assert.deepEqual([points.type, points.x_scale, points.elements[0].points], ['scatter', 'categorical', [[0, 1], [1, 2]]])
  assert.deepEqual(await chart("plt.bar(['a', 'b'], [2, 2], yerr=.1, label='g')"), {
    type: 'bar', title: null, ...plane,
    elements: [{ label: 'a', group: 'g', value: 2 }, { label: 'b', group: 'g', value: 2 }],
  })
  assert.deepEqual(await chart("plt.pie([1, 3], labels=['a', 'b'])"), {
    type: 'pie', title: null, elements: [{ label: 'a', angle: 90, radius: 1 }, { label: 'b', angle: 270, radius: 1 }],
  })
  assert.deepEqual(await chart('plt.boxplot([[1, 2, 3, 4, 20]])'), {
    type: 'box_and_whisker', title: null, ...plane,
    elements: [{ label: '1', min: 1, first_quartile: 2, median: 3, third_quartile: 4, max: 4, outliers: [20] }],
  })
  assert.deepEqual(await chart('plt.imshow([[1, 2]])'), { type: 'unknown', title: null, elements: [] })
  assert.deepEqual(await chart('plt.subplots()'), {})
  const several = await chart("f, axes = plt.subplots(1, 2); axes[0].plot([1, 2]); axes[1].bar(['a'], [1]); f.suptitle('S')")
  assert.deepEqual([several.type, several.title, several.elements.map(({ type }) => type)], ['superchart', 'S', ['line', 'bar']])
})

test('figures, shown and left open, are a result each', async () => {
  const { results } = await run('import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show()\nplt.figure(); plt.pie([1]); plt.figure(); plt.bar([1], [1]);')
  assert.deepEqual(results.map(({ chart: { type }, isMainResult }) => [type, isMainResult]), [['line', false], ['pie', false], ['bar', false]])
})

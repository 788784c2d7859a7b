"""Rich results of Python: data, JSON, pictures and charts, as the SDK's classes."""

import unittest

from case import Case
from e2b_code_interpreter import charts


class TestRich(Case):
    async def only(self, code):
        """Returns the one result of code that prints nothing."""
        execution = await self.run_code(code)
        self.assertEqual((execution.logs.stdout, execution.logs.stderr), ([], []))
        (result,) = execution.results
        return result

    async def chart(self, kind, code):
        """Returns the chart of the one figure that code leaves open."""
        figure = await self.only(f"import datetime\nimport numpy as np, matplotlib.pyplot as plt\n{code};")
        self.assertFalse(figure.is_main_result)
        self.assertTrue(figure.png)
        self.assertIs(type(figure.chart), kind)
        return figure.chart

    async def test_a_data_frame_is_data(self):
        frame = await self.only(
            "import pandas as pd\n"
            "pd.DataFrame({'n': [1, None], 's': ['é', '日'], 't': pd.to_datetime(['2024-01-02', None])})"
        )
        self.assertEqual(frame.data, {"n": [1, None], "s": ["é", "日"], "t": ["2024-01-02T00:00:00", None]})
        self.assertEqual(sorted(frame.formats()), ["data", "html", "text"])
        self.assertTrue(frame.is_main_result)

    async def test_lists_and_dicts_are_json(self):
        self.assertEqual((await self.only("[1, float('nan'), {'a': None}]")).json, [1, None, {"a": None}])
        self.assertEqual((await self.only("{1: {'b': True}}")).json, {"1": {"b": True}})
        self.assertIsNone((await self.only("{'a': object()}")).json)

    async def test_a_figure_of_plotly_is_extra(self):
        figure = await self.only("import plotly.express as px\npx.line(x=[1, 2], y=[3, 4])")
        self.assertEqual(len(figure.extra["application/vnd.plotly.v1+json"]["data"]), 1)
        self.assertIn("plotly", figure.html)

    async def test_pictures_that_are_shown_or_saved(self):
        execution = await self.run_code(
            "from PIL import Image\np = Image.new('RGB', (2, 2)); p.show(); p.save('p.png')\np"
        )
        self.assertEqual([bool(result.png) for result in execution.results], [True] * 3)
        self.assertEqual([result.is_main_result for result in execution.results], [False, False, True])

    async def test_line(self):
        line = await self.chart(
            charts.LineChart, "plt.plot([1, 2, 4], [1, np.nan, 3], label='l'); plt.title('T'); plt.xlabel('Time (s)')"
        )
        self.assertEqual((line.type, line.title), (charts.ChartType.LINE, "T"))
        self.assertEqual((line.x_label, line.x_unit, line.y_label, line.y_unit), ("Time (s)", "s", None, None))
        self.assertEqual((line.x_scale, line.y_scale), (charts.ScaleType.LINEAR, charts.ScaleType.LINEAR))
        self.assertEqual(len(line.x_ticks), len(line.x_tick_labels))
        self.assertEqual([(e.label, e.points) for e in line.elements], [("l", [(1, 1), (2, None), (4, 3)])])

    async def test_dates(self):
        line = await self.chart(charts.LineChart, "plt.plot([datetime.date(2024, 1, d) for d in (1, 2, 3)], [1, 2, 4])")
        self.assertEqual(line.x_scale, charts.ScaleType.DATETIME)
        self.assertEqual(line.elements[0].points, [("2024-01-01", 1), ("2024-01-02", 2), ("2024-01-03", 4)])

    async def test_scatter(self):
        points = await self.chart(charts.ScatterChart, "plt.scatter(['a', 'b'], [1, 2], label='s')")
        self.assertEqual(points.x_scale, charts.ScaleType.CATEGORICAL)
        self.assertEqual([(e.label, e.points) for e in points.elements], [("s", [(0, 1), (1, 2)])])

    async def test_bars(self):
        bars = await self.chart(charts.BarChart, "plt.bar(['a', 'b'], [2, 2], yerr=.1, label='g'); plt.ylabel('Y')")
        self.assertEqual((bars.x_label, bars.y_label), (None, "Y"))
        self.assertEqual([(e.label, e.group, e.value) for e in bars.elements], [("a", "g", 2), ("b", "g", 2)])

    async def test_pie(self):
        pie = await self.chart(charts.PieChart, "plt.pie([1, 3], labels=['a', 'b'])")
        self.assertEqual([(e.label, e.angle, e.radius) for e in pie.elements], [("a", 90, 1), ("b", 270, 1)])

    async def test_box_and_whisker(self):
        plot = await self.chart(charts.BoxAndWhiskerChart, "plt.boxplot([[1, 2, 3, 4, 20]])")
        (box,) = plot.elements
        self.assertEqual(
            (box.label, box.min, box.first_quartile, box.median, box.third_quartile, box.max, box.outliers),
            ("1", 1, 2, 3, 4, 4, [20]),
        )

    async def test_superchart(self):
        both = await self.chart(
            charts.SuperChart,
            "f, axes = plt.subplots(1, 3); axes[0].plot([1, 2]); axes[1].bar(['a'], [1]); axes[2].imshow([[1]]); f.suptitle('S')",
        )
        self.assertEqual(both.title, "S")
        self.assertEqual([type(e) for e in both.elements], [charts.LineChart, charts.BarChart, charts.Chart])

    async def test_unknown_and_blank(self):
        self.assertEqual((await self.chart(charts.Chart, "plt.imshow([[1]])")).type, charts.ChartType.UNKNOWN)
        await self.chart(type(None), "plt.subplots()")


class TestRichAsync(TestRich):
    asynchronous = True


if __name__ == "__main__":
    unittest.main()

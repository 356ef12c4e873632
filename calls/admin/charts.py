"""Charts of the console: what the theme's script draws, and the same as rows, for those who cannot see it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_GREY = "#747c8a"  # 4 to 1 on white and on the dark ground; the theme draws both alike
_COLORS = ("var(--color-primary-600)", "var(--color-base-400)", "var(--color-green-600)", "var(--color-orange-500)")


def chart(labels: Sequence[str], lines: Mapping[str, Sequence[Any]], *, is_line: bool = False) -> dict[str, Any]:
    """Return a chart for `console/chart.html`: by name lines of one figure a label; rows of nothing are left out.

    Bars stand on one another; both they and lines begin at nothing, and are named where there are more than one.
    """
    drawn = [
        {"label": name, "data": list(line), "backgroundColor": color, "borderColor": color}
        for (name, line), color in zip(lines.items(), _COLORS, strict=False)
    ]
    rows = [(label, *values) for label, *values in zip(labels, *lines.values(), strict=True) if any(values)]
    return {
        "data": json.dumps({"labels": list(labels), "datasets": drawn}),
        "options": json.dumps(_options(is_stacked=not is_line, has_legend=len(lines) > 1)),
        "is_line": is_line,
        "names": list(lines),
        "rows": rows,
    }


def _options(*, is_stacked: bool, has_legend: bool) -> dict[str, Any]:
    """Return options of Chart.js 4; the theme's own draw bars one before the other, and name none."""
    return {
        "animation": False,
        "maintainAspectRatio": False,
        "datasets": {"bar": {"maxBarThickness": 12}, "line": {"borderWidth": 2, "pointStyle": False}},
        "plugins": {
            "legend": {
                "display": has_legend,
                "align": "end",
                "labels": {"color": _GREY, "boxHeight": 5, "usePointStyle": True},
            }
        },
        "scales": {
            "x": {"stacked": is_stacked, "grid": {"display": False}, "ticks": {"color": _GREY}},
            "y": {"stacked": is_stacked, "beginAtZero": True, "ticks": {"color": _GREY, "maxTicksLimit": 6}},
        },
    }

"""`Table`: text in rows and columns, as Markdown, LaTeX and HTML."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from omiga_torchrl.report.table import format_cells

MARKS: Mapping[str, str] = {
    "rising": "\N{UPWARDS ARROW}",
    "falling": "\N{DOWNWARDS ARROW}",
    "above": "\N{UPWARDS DOUBLE ARROW}",
    "below": "\N{DOWNWARDS DOUBLE ARROW}",
}
_LATEX: Mapping[str, str] = {
    "rising": r"$\uparrow$",
    "falling": r"$\downarrow$",
    "above": r"$\Uparrow$",
    "below": r"$\Downarrow$",
}


@dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
        columns: titles.
        rows: one text a column.
        names: so many columns are names, the others are numbers.
        bold: row and column of what is emphasised.
        quiet: rows that are references.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    bold: frozenset[tuple[int, int]] = frozenset()
    quiet: frozenset[int] = field(default_factory=frozenset)

    def to_markdown(self) -> str:
        """The table in Markdown."""
        rows = [
            [f"**{text}**" if (i, j) in self.bold and text else text for j, text in enumerate(row)]
            for i, row in enumerate(self.rows)
        ]
        return format_cells([list(self.columns), *rows], "markdown", names=self.names)

    def to_latex(self) -> str:
        r"""The table for the LaTeX package booktabs.

        Examples:
            >>> print(Table(["who", "a_b"], [["bc", "1.5"]], bold=frozenset({(0, 1)})).to_latex())
            \begin{tabular}{lr}
            \toprule
            who & a\_b \\
            \midrule
            bc & \textbf{1.5} \\
            \bottomrule
            \end{tabular}
        """
        lines = [" & ".join(map(_latex, self.columns)) + r" \\", r"\midrule"]
        for i, row in enumerate(self.rows):
            cells = [
                rf"\textbf{{{_latex(text)}}}" if (i, j) in self.bold and text else _latex(text)
                for j, text in enumerate(row)
            ]
            lines.append(" & ".join(cells) + r" \\")
        layout = "l" * self.names + "r" * (len(self.columns) - self.names)
        begin = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
        return "\n".join([*begin, *lines, r"\bottomrule", r"\end{tabular}"])

    def to_html(self) -> str:
        """The table in a frame that scrolls sideways."""
        head = "".join(
            f"<th{'' if j < self.names else ' class=n'}>{html.escape(text)}</th>"
            for j, text in enumerate(self.columns)
        )
        body = []
        for i, row in enumerate(self.rows):
            cells = []
            for j, text in enumerate(row):
                shown = html.escape(text)
                shown = f"<b>{shown}</b>" if (i, j) in self.bold else shown
                cells.append(f"<td>{shown}</td>" if j < self.names else f"<td class=n>{shown}</td>")
            body.append(f"<tr{' class=quiet' if i in self.quiet else ''}>{''.join(cells)}</tr>")
        rows = "\n".join(body)
        return f"<div class=scroll><table>\n<tr>{head}</tr>\n{rows}\n</table></div>"


def _latex(text: str) -> str:
    for sign in "&%_#$":
        text = text.replace(sign, f"\\{sign}")
    for name, mark in MARKS.items():
        text = text.replace(mark, _LATEX[name])
    return text

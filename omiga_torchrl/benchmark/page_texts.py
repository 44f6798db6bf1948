"""Texts between the tables of a report page, and its style sheet."""

from __future__ import annotations

from typing import Final

OVERVIEW_TEXT: Final = """\
<p>Mean return of the policy at the end of training, over seeds; raw returns, which compare within a row
only. Bold are the best of a row and those that no test tells from it (Welch's t test, two-sided, 5 % with
Holm's correction), in rows where the test tells any apart. Where runs have failed, the mean is of the others:
it is neither tested nor part of what is over all cells.</p>"""

RANKING_TEXT: Final = """\
<p>Final policy: cells in which an algorithm has runs, in which its mean is the highest, and in which it is
that or no test tells it from it; where no test tells any apart, all are tied.</p>"""

AGGREGATE_TEXT: Final = """\
<p>Returns scaled to 0 for random actions and 1 for the best checkpoint of the behaviour policies. Mean
and median are over cells, the interquartile mean is over the middle half of all runs, the optimality gap
is what is missing to 1. In brackets: the 95 % interval of a bootstrap that resamples runs within cells;
with fewer than five seeds in a cell there is none, and the value of every seed is in parentheses
instead.</p>"""

DATASET_TEXT: Final = """\
<p>Mean of the scaled returns of the last policies in all cells whose data have one name.</p>"""

PROFILE_TEXT: Final = """\
<p>The share of runs whose scaled return is above the one on the axis, a mean over cells: higher is better
everywhere.</p>"""

IMPROVEMENT_TEXT: Final = """\
<p>How often a run of the row beats a run of the column in the same cell, a mean over cells; 0.5 is no
difference.</p>"""

CELL_TEXT: Final = """\
<p>Curves are means over seeds of the evaluations during training, bands reach from the worst to the best
seed, dots are the final returns. <b>Final policy</b> is what an offline learner has; <b>best
checkpoint</b> was chosen with the simulator's help and judged on the same fresh episodes. <b>Values</b>
counts the runs whose learned values still rise (↑) or fall (↓) at the end: their budget was too short to
say what they converge to; and those whose values are above the largest discounted return in the data (⇑)
or below the smallest (⇓): these are over- or underestimated. <b>Weights</b> is the share of a batch on
which the weights of the policy rest at the end, the effective sample size: near 1 the policy clones the
data whatever the algorithm's name, below 0.1 it follows few transitions. (Records of before 28 November
2026 lack it.)</p>"""

TUNING_TEXT: Final = """\
<p>Every algorithm tried the same number of settings in every cell, one run each with a seed that no result
above has. The one with the best mean return over its last five evaluations in training, whose episodes are
not those of the results, was taken.</p>"""

COST_TEXT: Final = """\
<p>Of the runs on this page, evaluations included, without recording the data.</p>"""

STYLE: Final = """
body{margin:0;color:#1a1a1a;background:#fff;font:16px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:16px 20px 60px}
h1{font-size:1.7em;line-height:1.2;margin:.5em 0}h2{margin:2em 0 .4em;border-bottom:1px solid #ddd}
h3{margin:1.6em 0 .3em}
p,ul{max-width:75ch}.lead{font-size:1.05em}.card{color:#444;font-size:.9em}
.scroll{overflow-x:auto;margin:.6em 0}table{border-collapse:collapse;font-size:.92em}
th,td{padding:4px 10px;text-align:left;white-space:nowrap;border-bottom:1px solid #eee}
th{border-bottom:2px solid #999;font-weight:600}.n{text-align:right;font-variant-numeric:tabular-nums}
td:first-child,th:first-child{position:sticky;left:0;background:#fff}
.quiet td{color:#666;font-style:italic}
.row{display:flex;flex-wrap:wrap;gap:12px}.row img{max-width:100%;height:auto}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.9em;max-width:none}
.legend span{white-space:nowrap}
.notes{background:#fff6e0;border-left:4px solid #e69f00;padding:2px 12px;overflow-wrap:anywhere}
.records{font-size:.85em;overflow-wrap:anywhere}a{color:#0060a0}
"""

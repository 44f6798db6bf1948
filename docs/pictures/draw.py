"""Draw the pictures of the documentation as SVG files: ``python docs/pictures/draw.py``."""

from __future__ import annotations

from html import escape
from pathlib import Path

INK, MUTED, LINE = "#1f2933", "#52606d", "#9aa5b1"
START = "start"  # of a text: its anchor
BLUE, GREEN, ORANGE, RED, GREY = "#dbeafe", "#dcf5e3", "#fdebd0", "#fde2e1", "#eef1f4"


class Picture:
    """An SVG file in the making; sizes in pixels."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.parts: list[str] = []

    def box(self, x: float, y: float, w: float, h: float, text: str, fill: str, note: str = "") -> None:
        """A box with a line of text in its middle, and a smaller one below."""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="5" fill="{fill}" stroke="{LINE}"/>'
        )
        self.text(x + w / 2, y + h / 2 + (5 if not note else -3), text)
        if note:
            self.text(x + w / 2, y + h / 2 + 15, note, size=12, color=MUTED)

    def text(
        self, x: float, y: float, text: str, size: int = 14, color: str = INK, anchor: str = "middle"
    ) -> None:
        """A line of text; ``y`` is its base line."""
        style = f'font-size="{size}" fill="{color}" text-anchor="{anchor}"'
        self.parts.append(f'<text x="{x}" y="{y}" {style}>{escape(text)}</text>')

    def arrow(self, x1: float, y1: float, x2: float, y2: float, dashed: bool = False) -> None:
        """An arrow from the first point to the second."""
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{MUTED}" stroke-width="1.5"{dash} '
            'marker-end="url(#head)"/>'
        )

    def row(self, y: float, label: str, cells: list[tuple[str, str]], width: int = 62) -> None:
        """A labelled row of cells, ``(text, fill)`` each."""
        self.text(128, y + 20, label, size=13, color=MUTED, anchor="end")
        for i, (text, fill) in enumerate(cells):
            place = f'x="{140 + i * width}" y="{y}" width="{width}" height="30"'
            self.parts.append(f'<rect {place} fill="{fill}" stroke="{LINE}"/>')
            self.text(140 + i * width + width / 2, y + 20, text, size=13)

    def note(self, y: float, text: str, color: str = INK) -> None:
        """A line of text below rows."""
        self.text(140, y, text, 13, color, START)

    def save(self, name: str) -> None:
        """Write it beside this script."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" font-family="Helvetica, Arial, sans-serif">'
            f"<title>{escape(self.title)}</title>"
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{MUTED}"/></marker></defs>'
            f'<rect width="{self.width}" height="{self.height}" fill="white"/>'
        )
        path = Path(__file__).with_name(f"{name}.svg")
        path.write_text("\n".join([head, *self.parts, "</svg>", ""]), encoding="utf-8")


def factorisation() -> None:
    """Local values, the mixer, the team's value."""
    p = Picture(700, 330, "The team's value as a mixture of the agents' values")
    for i in range(3):
        x = 30 + 165 * i
        p.box(x, 270, 130, 40, f"o{i + 1}, a{i + 1}", GREY, f"agent {i + 1}")
        p.box(x, 185, 130, 44, f"Q{i + 1}(o{i + 1}, a{i + 1})", BLUE, "local value")
        p.arrow(x + 65, 270, x + 65, 231)
        p.arrow(x + 65, 185, 195 + 65 + (i - 1) * 60, 132)
    p.box(95, 84, 330, 46, "Q_tot = w1 Q1 + w2 Q2 + w3 Q3 + b", GREEN, "linear mixer, w >= 0")
    p.box(520, 84, 150, 46, "w(s), b(s)", ORANGE, "of the state")
    p.arrow(520, 107, 427, 107)
    p.box(520, 185, 150, 44, "state s", GREY)
    p.arrow(595, 185, 595, 132)
    p.box(95, 14, 330, 36, "TD target: r + gamma V_tot(s')", RED)
    p.arrow(260, 84, 260, 52)
    p.save("factorisation")


def in_sample() -> None:
    """Actions in the data, outside of them, and where Q is right."""
    p = Picture(700, 250, "Q is known at actions of the data only")
    p.parts.append(f'<line x1="60" y1="200" x2="660" y2="200" stroke="{INK}"/>')
    p.text(660, 222, "action", anchor="end", color=MUTED)
    p.parts.append(f'<rect x="180" y="30" width="190" height="170" fill="{GREEN}" opacity="0.7"/>')
    p.text(275, 48, "actions in the data", color=MUTED, size=13)
    curve = "M60,185 C130,165 180,140 240,105 S340,90 380,120 S520,185 650,190"
    p.parts.append(f'<path d="{curve}" fill="none" stroke="{INK}" stroke-width="2"/>')
    wrong = "M370,112 C430,110 480,60 530,50 S620,80 650,110"
    p.parts.append(
        f'<path d="{wrong}" fill="none" stroke="#c0392b" stroke-width="2" stroke-dasharray="6 4"/>'
    )
    for x, y in ((195, 130), (225, 114), (252, 99), (285, 93), (318, 93), (350, 103)):
        p.parts.append(f'<circle cx="{x}" cy="{y}" r="4.5" fill="#2563eb"/>')
    p.text(545, 36, "learned Q: wrong, and a maximum finds it", size=13, color="#c0392b")
    p.text(560, 176, "true Q", size=13)
    p.save("in_sample")


FLOORS = (
    ("recipes", "scripts that wire the parts; Hydra configs", GREY),
    ("report", "records, statistics, tables, pictures", ORANGE),
    ("behaviors · trainers · evaluation", "train, resume, judge", ORANGE),
    ("data · envs", "episodes, layouts, caches; tasks in the library's keys", GREEN),
    ("algorithms", "config, networks and loss of each, by name", BLUE),
    ("objectives · modules", "losses that read like the paper; mixers, policies", BLUE),
    ("functional", "pure kernels: one equation a function", BLUE),
    ("keys · specs · groups · errors · files", "names, sizes, messages", GREY),
)


def architecture() -> None:
    """The floors of the package."""
    p = Picture(700, 470, "The floors of the package")
    for i, (name, note, fill) in enumerate(FLOORS):
        p.box(40, 20 + 55 * i, 560, 45, name, fill, note)
    p.arrow(640, 30, 640, 440)
    p.text(640, 460, "imports", size=13, color=MUTED)
    p.save("architecture")


def paths() -> None:
    """The path of an observation, and of a coefficient."""
    p = Picture(880, 270, "The path of one observation and of one parameter")
    p.text(20, 28, "one observation", anchor=START, color=MUTED)
    steps = [
        ("file", "o, obs_0, ..."),
        ("layout", "Reading"),
        ("Episodes", "[R, N, O]"),
        ("cache", "memory map"),
    ]
    steps += [("buffer", "sample()"), ("TeamView", "masks, zeros"), ("network", "[*B, N, ...]")]
    for i, (name, note) in enumerate(steps):
        p.box(20 + 122 * i, 44, 104, 52, name, GREEN if i < 5 else BLUE, note)
        if i:
            p.arrow(2 + 122 * i, 70, 18 + 122 * i, 70)
    p.text(20, 158, "one parameter: alpha", anchor=START, color=MUTED)
    steps = [("YAML", "algorithm.alpha"), ("OMIGAConfig", "name, default"), ("OMIGALoss", "check, buffer")]
    steps += [("kernel", "z = w(Q-V)/alpha"), ("run.json", "identity"), ("report", "what differs")]
    for i, (name, note) in enumerate(steps):
        p.box(20 + 142 * i, 174, 120, 52, name, ORANGE if i in (0, 4, 5) else BLUE, note)
        if i:
            p.arrow(-2 + 142 * i, 200, 18 + 142 * i, 200)
    p.save("paths")


def shapes() -> None:
    """The entries of a batch of sequences."""
    p = Picture(700, 250, "The shapes in a batch")
    p.text(20, 26, "a batch of B sequences of T steps, N agents", anchor=START, color=MUTED)
    for k in range(3):
        x, y = 60 + 14 * k, 50 + 14 * k
        p.parts.append(f'<rect x="{x}" y="{y}" width="230" height="130" fill="{BLUE}" stroke="{LINE}"/>')
    p.text(203, 145, '("agents", "observation")', size=14)
    p.text(203, 166, "[B, T, N, O]", size=13, color=MUTED)
    p.text(203, 226, "O features", size=12, color=MUTED)
    p.text(48, 150, "N", size=12, color=MUTED)
    p.text(50, 48, "B, T", size=12, color=MUTED, anchor="end")
    p.box(350, 60, 150, 40, '"state"', GREEN, "[B, T, S]")
    p.box(350, 120, 150, 44, '("next", "reward")', ORANGE, "[B, T, 1], the team's")
    p.box(520, 60, 160, 40, '("agents", "action")', BLUE, "[B, T, N, A] or [B, T, N]")
    p.box(520, 120, 160, 44, '("next", "terminated")', ORANGE, "[B, T, 1]")
    p.box(350, 184, 330, 40, '("agents", "agent_mask" or "action_mask")', GREY, "")
    p.save("shapes")


def _cells(texts: str, fills: str) -> list[tuple[str, str]]:
    colors = {"b": BLUE, "g": GREEN, "o": ORANGE, "r": RED, ".": GREY}
    return [(text, colors[fill]) for text, fill in zip(texts.split(), fills, strict=True)]


def rows_with_delimiter() -> None:
    """Layouts with one row more than steps."""
    p = Picture(760, 250, "Rows of OMIGA's MuJoCo files and of vaults with delimiters")
    p.row(34, "o", _cells("o0 o1 o2 o3 o0 o1 o2 o3", "bbbobbbo"))
    p.row(66, "a", _cells("a0 a1 a2 – a0 a1 a2 –", "ggg.ggg."))
    p.row(98, "r", _cells("r0 r1 r2 – r0 r1 r2 –", "ggg.ggg."))
    p.row(130, "d", _cells("0 0 0 1 0 0 0 1", "...r...r"))
    p.text(264, 24, "episode 1", size=12, color=MUTED)
    p.text(512, 24, "episode 2", size=12, color=MUTED)
    p.note(190, "L steps are L + 1 rows: the last one (orange) only holds what the team saw at the end.")
    p.note(212, "Read as a step, it would add a bogus action and reward to every episode.", MUTED)
    p.save("rows_delimiter")


def rows_of_steps() -> None:
    """Layouts with one row a step."""
    p = Picture(760, 250, "Rows of D4RL's, OMAR's and OMIGA's SMAC files")
    p.row(34, "o", _cells("o0 o1 o2 o0 o1 o2 o3 o0", "bbbbbbbb"))
    p.row(66, "a, r", _cells("a0 a1 a2 a0 a1 a2 a3 a0", "gggggggg"))
    p.row(98, "terminated", _cells("0 0 1 0 0 0 0 0", "..r....."))
    p.row(130, "time-out", _cells("0 0 0 0 0 0 1 0", "......o."))
    p.text(233, 24, "terminated", size=12, color=MUTED)
    p.text(450, 24, "timed out", size=12, color=MUTED)
    p.note(190, "What came after the last row is not stored. A terminated step needs nothing; of a timed-out")
    p.note(210, "episode the last row is left out (or next_observation, where the file has it, is read).")
    p.note(232, "Its reward still counts in the episode's return.", MUTED)
    p.save("rows_steps")


def rows_padded() -> None:
    """PyMARL's padded episodes."""
    p = Picture(760, 270, "Padded episodes of PyMARL")
    p.row(34, "obs [E, T+1]", _cells("o0 o1 o2 0 0 o0 o1 o2", "bbb..bbo"))
    p.row(66, "actions", _cells("a0 a1 a2 0 0 a0 a1 0", "ggg..gg."))
    p.row(98, "filled", _cells("1 1 1 0 0 1 1 1", "ggg..ggg"))
    p.row(130, "terminated", _cells("0 0 1 0 0 0 0 0", "..r....."))
    p.row(162, "avail_actions", _cells("m0 m1 m2 0 0 m0 m1 m2", "bbb..bbo"))
    p.text(264, 24, "terminated, then padding", 12, MUTED)
    p.text(543, 24, "timed out", 12, MUTED)
    p.note(222, "filled marks what is no padding; padding is never read. A terminated episode ends with its")
    p.note(
        242,
        "flag. Without one time ran out: the last filled row (orange) is what the team saw then, no step.",
    )
    p.save("rows_padded")


if __name__ == "__main__":
    for draw in (factorisation, in_sample, architecture, paths, shapes):
        draw()
    for draw in (rows_with_delimiter, rows_of_steps, rows_padded):
        draw()

"""Pages: one HTML file with everything in it, nothing fetched from elsewhere; and the demo's."""

# ruff: noqa: E501  (markup reads better unbroken)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from dreamgym.evaluation.making.measures import format_value
from dreamgym.evaluation.pages.pictures import data_uri, figure_svg, filmstrip, plot_drift
from dreamgym.evaluation.statistics.comparison import Agreement, Sequences, Trajectories

STYLE = """
:root { --ink:#1d2733; --soft:#5b6875; --line:#e4e8ec; --dream:#e4572e; --wash:#f6f7f9; }
* { box-sizing: border-box; }
body { margin:0; font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif; color:var(--ink);
  background:#fff; }
main { max-width:1060px; margin:0 auto; padding:56px 28px 72px; }
.kicker { font-size:13px; letter-spacing:.08em; text-transform:uppercase; color:var(--dream); font-weight:600; margin:0; }
h1 { font-size:40px; line-height:1.12; letter-spacing:-.02em; margin:8px 0 14px; max-width:21em; }
h2 { font-size:22px; letter-spacing:-.01em; margin:56px 0 6px; }
p.lead { font-size:18px; color:var(--soft); max-width:44em; margin:0 0 28px; }
p.note { color:var(--soft); max-width:46em; margin:0 0 18px; }
figure { margin:0; }
.clip { background:#fff; border:1px solid var(--line); border-radius:14px; padding:14px; text-align:center; }
.clip img { max-width:100%; height:auto; }
.tiles { display:grid; grid-template-columns:repeat(4,1fr); gap:14px; margin:22px 0 0; }
.tile { background:var(--wash); border-radius:12px; padding:16px 18px; }
.tile b { display:block; font-size:27px; letter-spacing:-.02em; line-height:1.2; font-variant-numeric:tabular-nums; }
.tile b i { font-style:normal; font-size:16px; color:var(--soft); margin-left:.2em; letter-spacing:0; }
.tile span { color:var(--soft); font-size:14px; line-height:1.4; display:block; margin-top:4px; }
.scroll { overflow-x:auto; }
table { border-collapse:collapse; width:100%; font-variant-numeric:tabular-nums; font-size:14.5px; }
th, td { text-align:right; padding:9px 8px; border-bottom:1px solid var(--line); white-space:nowrap; }
th { font-weight:600; font-size:12.5px; color:var(--soft); } th:first-child, td:first-child { text-align:left; }
td small { color:var(--soft); font-size:12px; margin-left:.4em; font-weight:400; }
td.win { font-weight:600; }
.plot svg { width:100%; height:auto; }
.strips { display:grid; grid-template-columns:1fr 1fr; gap:26px 30px; margin-top:18px; }
.strip img { width:100%; border-radius:8px; display:block; }
.strip h3 { font-size:15px; margin:0 0 7px; display:flex; justify-content:space-between; align-items:baseline; gap:12px; }
.strip h3 span { font-weight:400; color:var(--soft); font-size:13px; white-space:nowrap; }
.strip h3 span b { color:var(--ink); font-weight:600; } .strip h3 span em { color:var(--dream); font-style:normal; font-weight:600; }
.strip svg { width:100%; height:46px; display:block; margin-top:5px; }
pre { background:var(--wash); border-radius:12px; padding:16px 18px; overflow-x:auto;
  font:14px/1.6 ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace; margin:14px 0 0; }
footer { margin-top:56px; padding-top:18px; border-top:1px solid var(--line); color:var(--soft); font-size:13.5px; }
@media (max-width:760px) { .tiles { grid-template-columns:1fr 1fr; } .strips { grid-template-columns:1fr; } h1 { font-size:31px; } }
"""

MORE = "<!-- more -->"
"""Where further sections go (`parts`)."""


def write_page(
    gif: bytes,
    real: Trajectories,
    dream: Trajectories,
    sequences: Sequences,
    agreement: Agreement,
    horizons: Sequence[int],
    facts: Mapping[str, Any],
) -> str:
    """The page as text.

    Args:
        gif: the clip.
        real: what the simulator showed.
        dream: what the dream showed.
        sequences: the action sequences.
        agreement: their comparison.
        horizons: rows of the table.
        facts: dream_id, real_id, checkpoint, task, version, seed, machine, and speed {label: steps per second} with the
            keys "dream_1", "dream_many", "many", "real".
    """
    last = horizons[-1]
    lead = (
        f"{len(sequences.row)} action sequences that training never saw, from the same starts: above in the physics simulator, "
        f"below in the neural network that was trained on its data. The dream sees the start and the actions, and nothing after."
    )
    parts = [
        f'<p class="kicker">dreamgym</p><h1>A world model beside the simulator that it was learned from</h1>'
        f'<p class="lead">{lead}</p>',
        f'<figure class="clip"><img alt="simulator above, dream below" src="{data_uri(gif, "gif")}"></figure>',
        _tiles(agreement, last, facts),
        "<h2>Agreement by horizon</h2>"
        '<p class="note">Mean over the sequences after so many imagined steps. Small figures: repeating the start instead '
        "of predicting. Decibels are of cameras; verdict: both call the task done, or both do not.</p>",
        _table(agreement, horizons),
        "<h2>Drift</h2>"
        '<p class="note">The dream never looks again after the start, so errors can only grow; the dashed line is what '
        "standing still would score.</p>",
        f'<div class="plot">{figure_svg(plot_drift(agreement.curves))}</div>' if agreement.curves else "",
        "<h2>The sequences</h2>"
        '<p class="note">Upper row the simulator, lower row the dream. Under each, the probability of success that the '
        "learned reward sees in the dream; the mark is where the simulator's own rules say done. The actions are a noisy scripted expert's; where there was a choice, one in which it succeeds was taken.</p>",
        _strips(real, dream, sequences, agreement),
        MORE,
        "<h2>Use it</h2><pre>import dreamgym, gymnasium as gym\n\n"
        f'env = gym.make("{escape(str(facts["dream_id"]))}", task="{escape(str(facts["task"]))}")\n'
        "obs, info = env.reset(seed=0)\n"
        "obs, reward, terminated, truncated, info = env.step(env.action_space.sample())</pre>",
        f"<footer>{escape(_footer(facts))}</footer>",
    ]
    return document(f"dreamgym: {facts['dream_id']}", parts)


def document(title: str, parts: Sequence[str]) -> str:
    """A whole page of this look from its parts (HTML); the title is plain text."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}<title>{escape(title)}</title></head><body><main>{"".join(parts)}</main></body></html>\n'


def tiles(figures: Sequence[tuple[str, str, str]]) -> str:
    """A row of large figures: (figure, unit, what it is), plain text."""
    cells = "".join(
        f'<div class="tile"><b>{escape(v)}<i>{escape(u)}</i></b><span>{escape(w)}</span></div>' for v, u, w in figures
    )
    return f'<div class="tiles">{cells}</div>'


def html_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; heads are plain text, cells HTML."""
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    body = "".join(f"<tr>{''.join(f'<td>{c}</td>' for c in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _footer(facts: Mapping[str, Any]) -> str:
    return (
        f"{facts['dream_id']} beside {facts['real_id']}; checkpoint {facts['checkpoint']}; dreamgym {facts['version']}; "
        f"seed {facts['seed']}; {facts['machine']}"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _tiles(agreement: Agreement, step: int, facts: Mapping[str, Any]) -> str:
    speed = facts["speed"]
    same = sum((e["success_step_real"] is None) == (e["success_step_dream"] is None) for e in agreement.episodes)
    figures = [
        (_number(speed["dream_many"]), "/s", f"imagined steps, {speed['many']} dreams at once, on this machine"),
        (
            _number(speed["real"]),
            "/s",
            f"steps of the twin (simulator, cameras, filter); one dream alone: {_number(speed['dream_1'])}",
        ),
        (str(same), f"of {len(agreement.episodes)}", "sequences with the same verdict, done or not, in both"),
    ]
    cameras = [c for c in agreement.curves.values() if c.unit == "dB"]
    measures = [c for c in agreement.curves.values() if c.unit != "dB" and not c.higher_is_better]
    for kind, curves in (("{} error", measures), ("PSNR, {}", cameras)):
        if curves and len(figures) < 4:
            value, _, unit = format_value(curves[0].model[step - 1], curves[0].unit).partition(" ")
            figures.append((value, unit, f"{kind.format(curves[0].label)} after {step} imagined steps"))
    return tiles(figures)


def _table(agreement: Agreement, horizons: Sequence[int]) -> str:
    names = [(c.label or n).removesuffix(" camera") for n, c in agreement.curves.items()]
    heads = ["steps", *names, "verdict", "uncertainty"]
    rows = []
    for step in horizons:
        cells = [f"<td>{step}</td>"]
        for curve in agreement.curves.values():
            mine, still = curve.model[step - 1], curve.repeat[step - 1]
            win = (mine > still) == curve.higher_is_better and mine != still
            value, other = (format_value(v, curve.unit) for v in (mine, still))
            cells.append(f"<td{' class=win' if win else ''}>{value}<small>{other.split()[0]}</small></td>")
        cells.append(f"<td>{100 * agreement.verdicts[step - 1]:.0f}%</td>")
        cells.append(f"<td>{agreement.uncertainty[step - 1]:.3g}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _strips(real: Trajectories, dream: Trajectories, sequences: Sequences, agreement: Agreement) -> str:
    camera = next((c for c in real.frames if c in dream.frames), None)
    out = []
    for i, episode in enumerate(agreement.episodes):
        picture = ""
        if camera is not None:
            steps = np.linspace(0, episode["length"], 6).round().astype(int).tolist()
            strip = filmstrip(real.frames[camera][i], dream.frames[camera][i], steps)
            picture = f'<img alt="{escape(episode["task"])}" src="{data_uri(strip)}">'
        verdict = [
            f"done at {s}" if s is not None else "not done"
            for s in (episode["success_step_real"], episode["success_step_dream"])
        ]
        title = escape(episode["task"].replace("_", " "))
        label = f"<span>simulator <b>{verdict[0]}</b> · dream <em>{verdict[1]}</em></span>"
        # Nobody is asked about the start: the line begins with the first step's answer.
        probability = dream.probability[i, np.r_[1, 1 : episode["length"] + 1]]
        chart = _sparkline(probability, episode["success_step_real"])
        out.append(f'<div class="strip"><h3>{title}{label}</h3>{picture}{chart}</div>')
    return f'<div class="strips">{"".join(out)}</div>'


def _sparkline(probability: np.ndarray, mark: int | None) -> str:
    """Success probability along one episode as a small chart; a vertical mark at step ``mark``."""
    width, height, pad = 480.0, 46.0, 3.0
    span = max(len(probability) - 1, 1)
    points = [(width * t / span, height - pad - (height - 2 * pad) * float(p)) for t, p in enumerate(probability)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    area = f"0,{height - pad} {line} {width},{height - pad}"
    tick = "" if mark is None else (
        f'<line x1="{width * mark / span:.1f}" x2="{width * mark / span:.1f}" y1="0" y2="{height}" stroke="#1d2733" '
        'stroke-width="1.5" stroke-dasharray="3 3" vector-effect="non-scaling-stroke"/>'
    )  # fmt: skip
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" preserveAspectRatio="none" role="img" aria-label="success probability">'
        f'<line x1="0" x2="{width}" y1="{height - pad}" y2="{height - pad}" stroke="#e4e8ec" vector-effect="non-scaling-stroke"/>'
        f'<polygon points="{area}" fill="#e4572e" opacity=".12"/>'
        f'<polyline points="{line}" fill="none" stroke="#e4572e" stroke-width="2" vector-effect="non-scaling-stroke"/>{tick}</svg>'
    )

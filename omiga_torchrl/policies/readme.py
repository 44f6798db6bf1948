"""The page of an exported policy: what model hubs show, with an example that runs."""

from __future__ import annotations

import json
from typing import Any, Final

_WHAT: Final = {
    "torch": "a program of `torch.export`, which PyTorch runs without this library",
    "onnx": "an ONNX program, which onnxruntime runs without PyTorch",
    "safetensors": "the weights, which `omiga_torchrl` opens",
}


def readme_of(card: dict[str, Any]) -> str:
    """The text of ``README.md``: a header in YAML, inputs and outputs, the score, and an example.

    Args:
        card: see :func:`omiga_torchrl.policies.card.describe_policy`, with the file.
    """
    task = card["task"] or "a task of your own"
    parts = [
        _header(card),
        f"# {card['algorithm'] or 'A policy'} on {task}",
        f"`{card['file']}` is {_WHAT[card['kind']]}. It gives the most likely actions of the team "
        f"({', '.join(f'{len(agents)} {name}' for name, agents in card['agents'].items())}) for raw "
        "observations, which it scales itself. `card.json` has all of this page, and every argument.",
        "## Inputs and outputs",
        _table(card["inputs"], "input"),
        _table(card["outputs"], "output"),
        _carried(card["inputs"]),
        "## Use",
        f"```python\n{example_of(card)}```",
        "## Training",
        _training(card),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(card: dict[str, Any]) -> str:
    """The header that hubs read; values as JSON, which is YAML."""
    header: dict[str, Any] = {
        "license": card["license"],
        "library_name": "omiga_torchrl",
        "pipeline_tag": "reinforcement-learning",
        "tags": [
            "reinforcement-learning",
            "multi-agent-reinforcement-learning",
            "offline-reinforcement-learning",
            *([card["algorithm"]] if card["algorithm"] else []),
            *([card["task"]] if card["task"] else []),
        ],
    }
    if card.get("score"):
        header["model-index"] = [
            {
                "name": card["algorithm"] or "policy",
                "results": [
                    {
                        "task": {"type": "reinforcement-learning", "name": card["task"]},
                        "dataset": {"type": card["task"], "name": card["task"]},
                        "metrics": [{"type": "mean_reward", "value": _score(card), "name": "mean return"}],
                    }
                ],
            }
        ]
    lines = [f"{name}: {json.dumps(value)}" for name, value in header.items()]
    return "\n".join(["---", *lines, "---"])


def _table(ports: list[dict[str, Any]], title: str) -> str:
    lines = [f"| {title} | shape | type | range | unit |", "|---|---|---|---|---|"]
    for port in ports:
        low, high = port.get("low", ""), port.get("high", "")
        limits = "" if low == "" else f"{json.dumps(low)} to {json.dumps(high)}"
        shape = " x ".join(map(str, port["shape"]))
        lines.append(f"| `{port['name']}` | {shape} | {port['dtype']} | {limits} | {port['units']} |")
    return "\n".join(lines)


def _carried(inputs: list[dict[str, Any]]) -> str:
    """How a recurrent policy goes from step to step."""
    carried = [port for port in inputs if "carried_from" in port]
    if not carried:
        return ""
    told = ", ".join(
        f"`{port['name']}` is `{port['carried_from']}` of the step before, {port['initial']:g} at the start"
        for port in carried
    )
    return f"The policy has a memory: {told} of an episode."


def _score(card: dict[str, Any]) -> str:
    score = card["score"]
    interval = score["interval_95"]
    return f"{score['mean_return']:.2f}" + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else "")


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _training(card: dict[str, Any]) -> str:
    """Data, score, arguments and versions of the training."""
    lines = []
    data = card.get("data", {})
    if data or card["dataset"]:
        name = card["dataset"] or data["name"]
        lines.append(f"- Data: `{name}`, fingerprint `{data.get('fingerprint', 'unknown')}`.")
    if card.get("score"):
        score = card["score"]
        lines.append(
            f"- Mean return of {score['episodes']} episodes with 95% interval: {_score(card)}, of one "
            f"training (seed {card['seed']}); of the data {_number(score['behavior_return'])}, of random "
            f"actions {_number(score['random_return'])}."
        )
    lines.append(f"- Arguments: `{json.dumps(card['arguments'])}`.")
    lines.append(f"- Versions: {', '.join(f'{name} {one}' for name, one in card['versions'].items())}.")
    return "\n".join(lines)


def example_of(card: dict[str, Any]) -> str:
    """A short program that acts with the exported file, in its folder.

    Args:
        card: of the export.
    """
    if card["kind"] == "safetensors":
        return 'from omiga_torchrl.policies import load_policy\n\npolicy = load_policy(".")\n'
    names = [port["name"] for port in card["outputs"]]
    carried = {port["name"]: port["carried_from"] for port in card["inputs"] if "carried_from" in port}
    lines = ["import numpy as np", {"onnx": "import onnxruntime", "torch": "import torch"}[card["kind"]], ""]
    if card["kind"] == "onnx":
        lines.append(f'session = onnxruntime.InferenceSession("{card["file"]}")')
    else:
        lines.append(f'program = torch.export.load("{card["file"]}").module()')
    lines.append("inputs = {  # a batch of one environment")
    for port in card["inputs"]:
        value = f'np.full({(1, *port["shape"][1:])}, {port.get("initial", 1):g}, "{port["dtype"]}")'
        lines.append(f'    "{port["name"]}": {value},')
    lines.append("}")
    lines.append("for _ in range(3):")
    if card["kind"] == "onnx":
        lines.append(f"    outputs = dict(zip({names!r}, session.run(None, inputs)))")
    else:
        lines.append("    values = program(*map(torch.as_tensor, inputs.values()))")
        lines.append(f"    outputs = dict(zip({names!r}, (x.detach().numpy() for x in values)))")
    lines += [f'    inputs["{name}"] = outputs["{source}"]' for name, source in carried.items()]
    lines.append(f'print(outputs["{names[0]}"])')
    return "\n".join(lines) + "\n"

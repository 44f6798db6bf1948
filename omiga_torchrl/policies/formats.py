"""Files that a policy is exported to: a program of torch.export, ONNX, or weights as safetensors."""

from __future__ import annotations

import copy
import importlib.util
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import torch
from tensordict.nn import ProbabilisticTensorDictModule
from torch import Tensor, nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

from omiga_torchrl import keys
from omiga_torchrl.errors import DataError
from omiga_torchrl.policies.acting import PolicyStep
from omiga_torchrl.policies.ports import Port

Run = Callable[[dict[str, npt.NDArray[Any]]], list[npt.NDArray[Any]]]
"""A step: inputs by name, with a batch dimension, to the outputs in order."""
_EXAMPLES: Final = 3  # a batch of one would be traced as a constant


@dataclass(frozen=True)
class ProgramFormat:
    """A format that holds the whole program of a policy's step.

    Attributes:
        file: name of the file.
        needs: packages that writing needs.
        runs_with: packages that running needs.
        write: writes a program to a file.
        open: reads the file as a step with these inputs.
    """

    file: str
    needs: tuple[str, ...]
    runs_with: tuple[str, ...]
    write: Callable[[PolicyStep, Path], None]
    open: Callable[[Path, list[Port]], Run]


def require_packages(component: str, *needed: str) -> None:
    """Raise unless packages are installed.

    Args:
        component: who needs them.
        *needed: their names.

    Raises:
        ImportError: names the missing ones and the extra.

    Examples:
        >>> require_packages("export_policy", "torch", "numpy")
    """
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(f'{component} needs {", ".join(missing)}. pip install "omiga-torchrl[export]"')


def trace(step: PolicyStep) -> torch.export.ExportedProgram:
    """The program of a step, for any batch size, with the most likely actions.

    Args:
        step: of the policy; its parameters are copied.

    Raises:
        DataError: a module of the policy cannot be traced; names it.
    """
    step = _without_log_probs(copy.deepcopy(step).cpu().eval().requires_grad_(False))
    examples = tuple(_example(port) for port in step.inputs)
    batch = torch.export.Dim("batch", min=1)
    with _quiet(), torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC), _called() as calls:
        try:
            return torch.export.export(step, examples, dynamic_shapes=(tuple({0: batch} for _ in examples),))
        except Exception as error:  # torch.export documents little of what it raises
            raise _unsupported("torch.export", calls[-1] if calls else "the policy", error) from error


def _without_log_probs(step: PolicyStep) -> PolicyStep:
    """The step without the densities that behaviour policies write: programs have no such output."""
    for part in step.modules():
        if isinstance(part, ProbabilisticTensorDictModule):
            part.return_log_prob = False
    step.policy.out_keys = [key for key in step.policy.out_keys if keys.key_path(key)[-1] == "action"]
    return step


def _example(port: Port) -> Tensor:
    return torch.full((_EXAMPLES, *port.shape), port.initial or 1, dtype=getattr(torch, port.dtype))


@contextmanager
def _called() -> Iterator[list[str]]:
    """The modules that are being called, the innermost last: of an error, those that it left behind."""
    calls: list[str] = []

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        calls.pop()

    hooks = [
        nn.modules.module.register_module_forward_pre_hook(lambda one, _: calls.append(type(one).__name__)),
        nn.modules.module.register_module_forward_hook(leave),
    ]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _unsupported(by: str, module: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(
        f"export_policy: the policy must consist of what {by} supports, got {module}: {reason}. Write it "
        "with other operations of torch, or export another format."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings of the exporters about themselves."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _write_torch(step: PolicyStep, path: Path) -> None:
    with _quiet():
        torch.export.save(trace(step), path)


def _open_torch(path: Path, inputs: list[Port]) -> Run:
    program = torch.export.load(path).module()

    def run(arrays: dict[str, npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        with torch.no_grad():
            outputs = program(*(torch.as_tensor(arrays[port.name]) for port in inputs))
        return [value.numpy() for value in outputs]

    return run


def _write_onnx(step: PolicyStep, path: Path) -> None:
    program = trace(step)
    inputs, outputs = ([port.name for port in ports] for ports in (step.inputs, step.outputs))
    with _quiet():
        try:
            found = torch.onnx.export(
                program, dynamo=True, verbose=False, input_names=inputs, output_names=outputs
            )
        except Exception as error:  # of the exporter's own kinds, by the version
            cause = error
            while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
                cause = cause.__cause__
            raise _unsupported("ONNX", _culprit(program, str(cause)), cause) from error
    assert found is not None
    found.save(path, external_data=False)


def _culprit(program: torch.export.ExportedProgram, message: str) -> str:
    """The module of the operation that an exporter's message names."""
    named = re.search(r"op='([\w.]+)'", message)
    for known in (program, program.run_decompositions()) if named else ():
        for node in known.graph.nodes:
            stack = node.meta.get("nn_module_stack")
            if stack and named and str(node.target).startswith(f"{named[1]}."):
                kind = list(stack.values())[-1][1]
                return f"{str(kind).rpartition('.')[2]} ({named[1]})"
    return "the policy"


def _open_onnx(path: Path, inputs: list[Port]) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda arrays: list(session.run(None, arrays))


PROGRAMS: Final = {
    "torch": ProgramFormat("policy.pt2", (), (), _write_torch, _open_torch),
    "onnx": ProgramFormat("policy.onnx", ("onnx", "onnxscript"), ("onnxruntime",), _write_onnx, _open_onnx),
}
"""Formats that run without this library, by their name."""

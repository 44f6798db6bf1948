"""Devices and the precision of matrix products, by name."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any, Literal, get_args

import torch

from omiga_torchrl.errors import require_choice, require_count

Precision = Literal["highest", "high", "medium", "bf16-mixed"]


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[None]:
    """The context in which a loss is evaluated: bfloat16 networks for ``"bf16-mixed"``, else nothing.

    Args:
        device: of the networks.
        precision: as of :class:`omiga_torchrl.trainers.OfflineTrainer`.

    Examples:
        >>> layer = torch.nn.Linear(2, 1)
        >>> with autocast(torch.device("cpu"), "bf16-mixed"):
        ...     layer(torch.ones(2)).dtype
        torch.bfloat16
    """
    if precision != "bf16-mixed":
        return nullcontext()
    # Without the cache: a cast first made under no_grad would have no gradient where it is used again.
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


def set_precision(precision: Precision, device: torch.device) -> None:
    """Sets the process's precision of float32 matrix products.

    Args:
        precision: see :func:`torch.set_float32_matmul_precision`; ``"bf16-mixed"`` leaves them ``"highest"``.
        device: where they are computed.

    Raises:
        ValueError: an unknown precision, or one that the device lacks.

    Examples:
        >>> set_precision("highest", torch.device("cpu"))
        >>> torch.get_float32_matmul_precision()
        'highest'
    """
    require_choice("OfflineTrainer", precision=(precision, get_args(Precision)))
    mixed = precision == "bf16-mixed"
    if mixed and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError(
            f"OfflineTrainer: precision must be one that {torch.cuda.get_device_name(device)} has, got "
            f"'bf16-mixed'. Use precision=highest or high."
        )
    torch.set_float32_matmul_precision("highest" if mixed else precision)


def use_device(name: str, threads: int | None = None) -> torch.device:
    """The device of a name, after setting torch's number of threads.

    Args:
        name: as of :func:`find_device`.
        threads: >= 1, of the CPU; ``None`` leaves them as they are.

    Raises:
        ValueError: no device has the name, or ``threads`` is below one.

    Examples:
        >>> use_device("cpu").type
        'cpu'
    """
    if threads is not None:
        require_count("train", 1, threads=threads)
        torch.set_num_threads(threads)
    return find_device(name)


class CopyOnCPU:
    """A network as environments on the CPU can use it: itself there, else a copy that follows it.

    Args:
        network: of any device.

    Examples:
        >>> network = torch.nn.Linear(2, 1)
        >>> CopyOnCPU(network)() is network
        True
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        on_cpu = all(parameter.device.type == "cpu" for parameter in network.parameters())
        self._copy = network if on_cpu else deepcopy(network).to("cpu")

    def __call__(self) -> Any:
        """The network with its present parameters."""
        if self._copy is not self._network:
            self._copy.load_state_dict(self._network.state_dict())
        return self._copy


def find_device(name: str) -> torch.device:
    """The device of a name.

    Args:
        name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"auto"``: the first CUDA device if there is one, else
            the CPU.

    Raises:
        ValueError: no device has the name, or it is not here; nothing falls back to the CPU.

    Examples:
        >>> find_device("cpu")
        device(type='cpu')
        >>> find_device("gpu")
        Traceback (most recent call last):
            ...
        ValueError: find_device: device must be cpu, cuda, cuda:<number> or auto, got 'gpu'. Did you ...
    """
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdecimal()):
        hint = "Did you mean 'cuda'?" if kind in ("gpu", "nvidia") else "Pass one of them."
        raise ValueError(
            f"find_device: device must be cpu, cuda, cuda:<number> or auto, got {name!r}. {hint}"
        )
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(number or 0) >= found:
        build = "" if torch.version.cuda else " This build of torch has no CUDA."
        raise ValueError(
            f"find_device: device must be one that is here, got {name!r} with {found} CUDA devices.{build} "
            f"Use device=cpu or device=auto."
        )
    return torch.device(name)

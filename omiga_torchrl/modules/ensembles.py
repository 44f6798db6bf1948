"""Several networks for the same quantity."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from omiga_torchrl.errors import require_count

Network = TypeVar("Network", bound=nn.Module)


class Ensemble(nn.Module):
    """Independently initialised networks with the same inputs, their outputs stacked last.

    The members come last so that the output fits under the batch dimensions of a TensorDict, next
    to entries of single networks; :func:`omiga_torchrl.functional.ensemble_minimum` and
    ``soft_minimum`` reduce it, and ``[..., 0]`` is the first member's. TorchRL's own
    ``expand_dim`` draws the copies anew, and not as the layers do.

    Args:
        make: makes one member.
        size: number of members E.

    Shapes: ``[*B, N, out]`` of each member ``-> [*B, N, out, E]``.

    Raises:
        ValueError: if there is no member, or ``make`` returns the same module again.

    Examples:
        >>> from omiga_torchrl.modules import AgentMLP
        >>> twins = Ensemble(lambda: AgentMLP(5, 1, n_agents=3, hidden_sizes=(16,)), 2)
        >>> twins(torch.zeros(8, 3, 4), torch.zeros(8, 3, 1)).shape
        torch.Size([8, 3, 1, 2])
    """

    def __init__(self, make: Callable[[], nn.Module], size: int) -> None:
        super().__init__()
        require_count("Ensemble", 1, size=size)
        self.counted = size
        self.members = nn.ModuleList(make() for _ in range(size))
        if len(set(self.members)) < size:
            raise ValueError(
                f"Ensemble: {size} members of {len(set(self.members))} different modules; expected a new "
                "module from every call of make."
            )

    def forward(self, *inputs: Tensor) -> Tensor:
        """The outputs of all members, ``[*B, N, out, E]``; E is 1 in :func:`first_member_view`."""
        return torch.stack([member(*inputs) for member in islice(self.members, self.counted)], -1)


def first_member_view(network: Network) -> Network:
    """A network of the same parameters that evaluates the first member of every ensemble only.

    For losses that follow one critic: it takes the time of one. The view shares all layers with ``network``,
    and has the same tree of modules, so that ``params.to_module(view)`` takes the parameters of the whole
    network; those of other members are not read and get no gradient. Make it once, where the loss is
    constructed, and keep it out of the loss's submodules, which would list every parameter twice.

    Args:
        network: a module with ensembles, or without: then it is returned itself. It is not changed.

    Examples:
        >>> twins = Ensemble(lambda: nn.Linear(3, 1), 2)
        >>> first_member_view(twins)(torch.zeros(8, 3)).shape, twins(torch.zeros(8, 3)).shape
        (torch.Size([8, 1, 1]), torch.Size([8, 1, 2]))
    """
    if not any(isinstance(part, Ensemble) for part in network.modules()):
        return network
    view = copy(network)
    if isinstance(view, Ensemble):
        view.counted = 1
    else:
        children = {name: first_member_view(child) for name, child in network.named_children()}
        view._modules = {**network._modules, **children}
    return view

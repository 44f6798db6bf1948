"""Steps as PettingZoo gives them: a dict a step, without the agents that are not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def is_step_dicts(value: Any) -> bool:
    """Whether it is a list of one dict a step, from the agents' names to what each saw.

    Examples:
        >>> is_step_dicts([{"a": np.zeros(3)}]), is_step_dicts([{"a": np.zeros((9, 3))}])
        (True, False)
    """
    if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping) for one in value):
        return False
    return any(np.ndim(each) <= 1 for one in value for each in one.values())


def comes_and_goes(steps: Sequence[Mapping[str, Any]]) -> bool:
    """Whether some agents are in some of the dicts only.

    Examples:
        >>> comes_and_goes([{"a": 0, "b": 0}, {"a": 0}])
        True
    """
    return any(one.keys() != steps[0].keys() for one in steps if one)

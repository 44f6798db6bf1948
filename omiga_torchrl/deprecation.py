"""Old names of arguments, which go on working for one release."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

# The arguments that all networks of agents have in common.
NETWORK_NAMES: Final = {
    "hidden": "hidden_sizes",
    "share_parameters": "share_params",
    "recurrent": "rnn_hidden_size",
    "members": "ensemble_size",
}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def renamed_arguments(**names: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A decorator that accepts keyword arguments under the names that they had before.

    An old name warns with a ``DeprecationWarning`` of the line that calls, which Python shows once for each
    such line, and is handed on under its new name.

    Args:
        **names: the new name of each old one.

    Raises:
        TypeError: when called with an old name together with its new one.

    Examples:
        >>> @renamed_arguments(hidden="hidden_sizes")
        ... def layers(hidden_sizes):
        ...     return len(hidden_sizes)
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     layers(hidden=(8, 8))
        2
        >>> str(caught[0].message)
        "layers: argument 'hidden' is now 'hidden_sizes'. Rename it: the old name goes with the next release."
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        component = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            for old in names.keys() & kwargs.keys():
                new = names[old]
                if new in kwargs:
                    raise TypeError(
                        f"{component}: argument {old!r} must be left out beside {new!r}, its new name, got "
                        f"both. Keep {new!r}."
                    )
                warnings.warn(
                    f"{component}: argument {old!r} is now {new!r}. Rename it: the old name goes with the "
                    "next release.",
                    DeprecationWarning,
                    stacklevel=2,
                )
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate

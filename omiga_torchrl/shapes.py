"""`Float`, `Bool` and `Int` of jaxtyping for shape annotations, without depending on it.

Kernels see agents in the last dimension, ``[*batch, agents]``; a team quantity is
``[*batch]``. The test run checks the annotations with jaxtyping's import hook. The
library itself never decorates, because a decorated function does not compile with
``fullgraph=True``; so at run time the names are only ever read as strings, and the
package is not needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
else:
    try:
        from jaxtyping import Bool, Float, Int
    except ModuleNotFoundError:
        Bool = Float = Int = None

__all__ = ["Bool", "Float", "Int"]

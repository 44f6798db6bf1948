"""The layouts that datasets are read in, by name and in the order in which they are recognised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from omiga_torchrl.data.layouts.base import Layout
from omiga_torchrl.errors import DataError, unknown_name
from omiga_torchrl.file_kinds import require_files
from omiga_torchrl.plugins import load_plugins

LayoutClass = TypeVar("LayoutClass", bound=type[Layout])


class LayoutRegistry(Mapping[str, Layout]):
    """Name to layout, those that are asked first in front; the layouts of installed plugins included."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, Layout]] = []

    @property
    def registered(self) -> dict[str, Layout]:
        """The layouts registered so far, without looking for plugins."""
        return {layout.name: layout for _, layout in self._entries}

    def __getitem__(self, name: str) -> Layout:
        load_plugins("omiga_torchrl.layouts")
        return self.registered[name]

    def __iter__(self) -> Iterator[str]:
        load_plugins("omiga_torchrl.layouts")
        return iter(self.registered)

    def __len__(self) -> int:
        load_plugins("omiga_torchrl.layouts")
        return len(self._entries)

    def _add(self, layout: Layout, priority: int) -> None:
        self._entries.append((priority, layout))
        # Stable: among equals, who came first is asked first.
        self._entries.sort(key=lambda entry: -entry[0])

    def _remove(self, name: str) -> None:
        self._entries = [entry for entry in self._entries if entry[1].name != name]


LAYOUTS = LayoutRegistry()


def register_layout(
    name: str, *, priority: int = 0, replace: bool = False
) -> Callable[[LayoutClass], LayoutClass]:
    """Make a layout known to :class:`omiga_torchrl.data.OfflineDataset`: a decorator of its class.

    Args:
        name: how users choose it, as ``layout="<name>"``.
        priority: layouts are asked in descending order whether a path is theirs; the built-in ones
            have 10 to 90, so that 0, the default, is asked last.
        replace: whether to take the place of a layout of this name.

    Raises:
        ValueError: the name is taken and ``replace`` is false.

    Examples:
        >>> from omiga_torchrl.data import Layout
        >>> @register_layout("npz", priority=5)
        ... class NpzLayout(Layout):
        ...     summary = "one .npz file"
        ...
        ...     def matches(self, path):
        ...         return path.suffix == ".npz"
        ...
        ...     def read(self, path, options): ...
        >>> find_layout(__file__.replace("registry.py", ""), "npz").summary
        'one .npz file'
        >>> unregister_layout("npz")
    """

    def register(layout: LayoutClass) -> LayoutClass:
        taken = LAYOUTS.registered.get(name)
        if taken is not None and not replace:
            raise ValueError(
                f"register_layout: name must be a new one, got {name!r}, which is "
                f"{type(taken).__name__}. Choose another, or pass replace=True."
            )
        LAYOUTS._remove(name)
        layout.name = name
        LAYOUTS._add(layout(), priority)
        return layout

    return register


def unregister_layout(name: str) -> None:
    """Forget a layout given to :func:`register_layout`; unknown names are ignored."""
    LAYOUTS._remove(name)


def find_layout(path: str | Path, name: str | None = None) -> Layout:
    """The layout of a file or folder.

    Args:
        path: the file or folder.
        name: its layout, if that is known; ``None`` looks.

    Raises:
        FileNotFoundError: there is nothing at ``path``.
        ValueError: unknown ``name``; lists all.
        DataError: it looks like none of the layouts, or holds a pipe or a device.
    """
    if name is not None and name not in LAYOUTS:
        raise unknown_name("OfflineDataset", "layout", name, LAYOUTS)
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"OfflineDataset: {path} does not exist; expected a dataset's file or folder."
        )
    require_files("OfflineDataset", path)
    if name is not None:
        return LAYOUTS[name]
    for layout in LAYOUTS.values():
        if layout.matches(path):
            return layout
    known = "; ".join(f"{layout.name}: {layout.summary}" for layout in LAYOUTS.values())
    raise DataError(
        f"OfflineDataset: {path} looks like none of the known layouts. Pass layout=. Known: {known}."
    )

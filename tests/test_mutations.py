"""The faults that `make mutants` puts into the library."""

from __future__ import annotations

import ast

import pytest

from tests.mutants import first_tests, sample_mutants
from tests.mutations import find_mutations


@pytest.mark.parametrize(
    ("line", "kind", "expected"),
    [
        ("a >= b", "compare", {"a > b"}),
        ("a + b", "sign", {"a - b"}),
        ("-a", "sign", {"(a)"}),
        ("a.clamp(min=0.5)", "constant", {"a.clamp(min=1.0)"}),
        ("torch.minimum(a, b)", "extreme", {"torch.maximum(a, b)"}),
        ("a.masked_fill(mask, c)", "mask", {"a"}),
        ("a * mask", "mask", {"a"}),
        ("~a", "mask", {"(a)"}),
        ("a & b", "mask", {"a", "b"}),
        ("torch.where(c, a, b)", "mask", {"(a)", "(b)"}),
        ("a[:-1]", "slice", {"a[:]"}),
        ("a.detach() * b", "gradient", {"a * b"}),
        ("a and b", "logic", {"a or b"}),
        ("not a", "logic", {"(a)"}),
    ],
)
def test_each_kind_of_fault(line: str, kind: str, expected: set[str]) -> None:
    assert {one.apply(line) for one in find_mutations(line) if one.kind == kind} == expected


def test_texts_and_annotations_have_none() -> None:
    source = '''
def f(a: Literal[3]) -> "x + 1":
    """Has 3 + 4."""
    if TYPE_CHECKING:
        a = 3
    _LOG.info("%d", a + 1)
    raise ValueError(f"{a + 1}" "x" "y")
Values = dict[str, int] | collections.OrderedDict | Sequence[Tensor] | None
'''
    assert find_mutations(source) == []


def test_a_sample_is_even_repeatable_and_of_sources_that_parse() -> None:
    one, other = sample_mutants(25, seed=3), sample_mutants(25, seed=3)
    assert one == other != sample_mutants(25, seed=4)
    parts = [mutant.path.split("/")[1] for mutant in one]
    assert all(parts.count(part) == 5 for part in set(parts)) and len(set(parts)) == 5
    assert len({mutant.name for mutant in one}) == 25
    for mutant in one:
        ast.parse(mutant.source())


def test_tests_mirror_the_package() -> None:
    found = first_tests("omiga_torchrl/functional/targets.py")
    assert "tests/functional/test_targets.py" in found and found[-1] == "omiga_torchrl/functional/targets.py"

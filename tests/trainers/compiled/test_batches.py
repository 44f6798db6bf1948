"""The tensors of a batch in their order, and what kind of batch it is."""

from __future__ import annotations

import torch
from tensordict import NonTensorData, TensorDict

from omiga_torchrl.trainers.compiled.batches import batch_leaves, signature


def batch(rows: int = 4) -> TensorDict:
    return TensorDict(
        {
            "x": torch.arange(2.0 * rows).reshape(rows, 2),
            "next": TensorDict(
                {"agents": TensorDict({"y": torch.ones(rows, 3)}, [rows]), "z": torch.ones(rows)}, [rows]
            ),
            "name": NonTensorData("a", batch_size=[rows]),
        },
        [rows],
    )


def kind(data: TensorDict) -> object:
    return signature(data, batch_leaves(data))


def test_leaves_are_tensors_in_the_order_of_entries() -> None:
    data = batch()
    leaves = batch_leaves(data)
    assert list(leaves) == [("x",), ("next", "agents", "y"), ("next", "z")]
    assert leaves[("x",)] is data["x"]


def test_leaves_are_contiguous_and_plain() -> None:
    data = batch()
    data["x"] = torch.arange(8.0).reshape(2, 4).t()
    assert not data["x"].is_contiguous()
    leaf = batch_leaves(data)[("x",)]
    assert leaf.is_contiguous() and torch.equal(leaf, data["x"])
    wrapped = TensorDict({"p": torch.nn.Parameter(torch.ones(4))}, [4])
    assert type(batch_leaves(wrapped)[("p",)]) is torch.Tensor


def test_a_kind_is_keys_shapes_and_dtypes_and_no_values() -> None:
    assert kind(batch()) == kind(batch().apply(lambda x: x + 1))
    others = [batch(5), batch(), batch(), batch(), batch()]
    others[1]["more"] = torch.ones(4)
    others[2]["next", "z"] = torch.ones(4, dtype=torch.float64)
    others[3]["x"] = torch.ones(4, 3)
    others[4] = others[4].rename_key_("x", "w")
    assert len({hash(kind(one)) for one in [batch(), *others]}) == 6
    assert kind(batch().reshape(2, 2).to_tensordict()) != kind(batch())

"""Devices, precision and threads by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from omiga_torchrl.trainers.precision import CopyOnCPU, find_device, set_precision, use_device
from tests.trainers.toy import snapshot, toy_trainer

NO_CUDA = not torch.cuda.is_available()


def test_auto_takes_what_is_there() -> None:
    assert find_device("auto").type == ("cpu" if NO_CUDA else "cuda")


@pytest.mark.skipif(not NO_CUDA, reason="has one")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_an_absent_device_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=rf"got '{name}' with 0 CUDA devices.*Use device=cpu or device=auto"):
        find_device(name)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "tpu", ""])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(ValueError, match="device must be cpu, cuda, cuda:<number> or auto"):
        find_device(name)


def test_a_present_number_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda:1") == torch.device("cuda:1")
    assert find_device("auto") == torch.device("cuda:0")
    with pytest.raises(ValueError, match="got 'cuda:2' with 2 CUDA devices"):
        find_device("cuda:2")


def test_a_precision_that_the_device_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "an old card")
    with pytest.raises(ValueError, match=r"that an old card has, got 'bf16-mixed'\. Use precision=highest"):
        set_precision("bf16-mixed", torch.device("cuda:0"))


def test_unknown_precision() -> None:
    with pytest.raises(ValueError, match="precision"):
        toy_trainer(3, precision="fp8")


def test_precision_of_the_process_is_set() -> None:
    toy_trainer(1, precision="high")
    assert torch.get_float32_matmul_precision() == "high"
    toy_trainer(1)
    assert torch.get_float32_matmul_precision() == "highest"


def test_mixed_precision_is_another_number_and_near() -> None:
    exact, mixed = toy_trainer(10), toy_trainer(10, precision="bf16-mixed")
    exact.train()
    mixed.train()
    differences = [float((a - b).abs().max()) for a, b in zip(snapshot(exact), snapshot(mixed), strict=True)]
    assert 1e-6 < max(differences) < 0.2


def test_threads() -> None:
    before = torch.get_num_threads()
    try:
        use_device("cpu", threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    with pytest.raises(ValueError, match="threads is 0; expected at least 1"):
        use_device("cpu", threads=0)


def test_the_copy_follows_the_network() -> None:
    network = nn.Linear(2, 1)
    acting = CopyOnCPU(network)
    assert acting() is network
    acting._copy = nn.Linear(2, 1)  # as it is for a network on another device
    assert not torch.equal(acting._copy.weight, network.weight)
    assert torch.equal(acting().weight, network.weight)


def test_a_network_without_parameters_is_where_the_environment_is() -> None:
    network = nn.Identity()
    assert CopyOnCPU(network)() is network

"""Several runs at once against each alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from omiga_torchrl.algorithms import make_algorithm
from omiga_torchrl.objectives.target_update import ForeachSoftUpdate
from omiga_torchrl.specs import TeamSpec
from omiga_torchrl.trainers import OfflineTrainer, load_checkpoint
from omiga_torchrl.trainers.grids import comma_lists, grid_variants
from omiga_torchrl.trainers.together import RunGroup
from tests.trainers.toy import ToyLoss, parameter_groups, snapshot, toy_buffer

SPEC = TeamSpec(n_agents=2, observation_size=4, action_size=2, state_size=5)


def toy(seed: int, steps: int = 12, **options: Any) -> OfflineTrainer:
    torch.manual_seed(seed)
    loss = ToyLoss(options.pop("width", 8))
    return OfflineTrainer(
        loss_module=loss,
        replay_buffer=toy_buffer(batch_size=options.pop("batch", 16)),
        parameter_groups=parameter_groups(loss),
        target_updater=ForeachSoftUpdate(loss, tau=0.1),
        total_steps=steps,
        lr=1e-2,
        progress_bar=False,
        compile=options.pop("compile", "none"),
        seed=seed,
        **options,
    )


def algorithm(seed: int, name: str = "td3_bc", steps: int = 12, **arguments: Any) -> OfflineTrainer:
    from torchrl.data import LazyTensorStorage, ReplayBuffer

    torch.manual_seed(100)
    buffer = ReplayBuffer(storage=LazyTensorStorage(64), batch_size=16)
    buffer.extend(SPEC.fake_batch(64))
    torch.manual_seed(seed)
    parts = make_algorithm(name, SPEC, hidden_sizes=[8], **arguments)
    return OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=steps,
        progress_bar=False,
        compile="none",
        seed=seed,
    )


def run_group(*makes: Any) -> list[OfflineTrainer]:
    group = RunGroup()
    for make in makes:
        group.add(make())
    group.train()
    return group.trainers  # type: ignore[return-value]


def assert_near(left: OfflineTrainer, right: OfflineTrainer) -> None:
    for a, b in zip(snapshot(left), snapshot(right), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_a_schedule_finds_the_optimizers_step() -> None:
    """PyTorch warns of a schedule that goes before its optimizer, and warnings are errors here."""
    pair = run_group(*(lambda s=seed: toy(s, 3, width=2, lr_schedule="cosine") for seed in (0, 1)))
    assert [trainer.optimizer.param_groups[0]["lr"] for trainer in pair] == pytest.approx([0, 0])


@pytest.mark.slow
def test_each_run_is_what_it_is_alone() -> None:
    lengths = {0: 12, 1: 9, 2: 12}  # one ends earlier
    alone = [toy(seed, steps) for seed, steps in lengths.items()]
    for trainer in alone:
        torch.manual_seed(trainer.seed)
        trainer.train()
    group = run_group(*(lambda s=seed, n=steps: toy(s, n) for seed, steps in lengths.items()))
    for one, other in zip(alone, group, strict=True):
        assert_near(one, other)
    assert not torch.equal(snapshot(group[0])[0], snapshot(group[2])[0])


@pytest.mark.slow
def test_algorithms_that_draw_noise_keep_their_own() -> None:
    alone = []
    for seed in (0, 1):
        alone.append(algorithm(seed))
        alone[-1].train()
    for one, other in zip(alone, run_group(lambda: algorithm(0), lambda: algorithm(1)), strict=True):
        assert_near(one, other)


@pytest.mark.slow
def test_hyper_parameters_that_are_buffers_and_ones_that_are_not() -> None:
    for name, values in {
        "iql": [{"temperature": 0.5, "expectile": 0.7}, {"temperature": 3.0, "expectile": 0.9}],
        "td3_bc": [{"alpha": 1.0}, {"alpha": 5.0}],
    }.items():
        alone = []
        for arguments in values:
            alone.append(algorithm(0, name, **arguments))
            alone[-1].train()
        group = run_group(*(lambda n=name, a=arguments: algorithm(0, n, **a) for arguments in values))
        for one, other in zip(alone, group, strict=True):
            assert_near(one, other)
        pairs = zip(snapshot(group[0]), snapshot(group[1]), strict=True)
        assert not all(torch.allclose(a, b, atol=1e-4) for a, b in pairs)


@pytest.mark.slow
def test_a_run_resumes_alone_and_together(tmp_path: Path) -> None:
    whole = [toy(seed, 12) for seed in (0, 1)]
    for trainer in whole:
        torch.manual_seed(trainer.seed)
        trainer.train()
    run_group(*(lambda s=s: toy(s, 6, save_dir=tmp_path / str(s), save_interval=3) for s in (0, 1)))

    def resumed(seed: int) -> OfflineTrainer:
        trainer = toy(seed, 12, save_dir=tmp_path / str(seed))
        trainer.load_from_file(tmp_path / str(seed) / "step_00000006.pt")
        return trainer

    alone = resumed(0)
    alone.train()
    assert_near(alone, whole[0])
    for one in run_group(lambda: resumed(1), lambda: resumed(1)):
        assert_near(one, whole[1])


@pytest.mark.slow
def test_a_file_of_one_run_holds_one_run(tmp_path: Path) -> None:
    runs = (lambda s=s: toy(s, 4, width=512, save_dir=tmp_path / str(s), save_interval=2) for s in range(3))
    run_group(*runs)
    alone = toy(0, 4, width=512, save_dir=tmp_path / "alone")
    alone.train()
    sizes = [path.stat().st_size for path in sorted(tmp_path.rglob("step_*.pt"))]
    assert max(sizes) < 1.2 * min(sizes)
    assert load_checkpoint(tmp_path / "1" / "step_00000004.pt")["step"] == 4


def test_runs_of_different_structure_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vectorize: all runs must have one structure.*vectorize=false"):
        run_group(lambda: toy(0), lambda: toy(1, width=16))
    with pytest.raises(ValueError, match=r"vectorize: all runs must have one structure"):
        run_group(lambda: algorithm(0, "td3_bc"), lambda: algorithm(0, "iql"))


def test_batches_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="the batches of all runs must have the same entries and shapes"):
        run_group(lambda: toy(0), lambda: toy(1, batch=8))


def test_a_trainer_that_compiles_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="must be built with compile='none', got one with a CompiledStepper"):
        RunGroup().add(toy(0, compile="step"))


def test_grid_names_an_unknown_argument() -> None:
    with pytest.raises(ValueError, match=r"key of grid 'algorithm.alhpa'; did you mean 'algorithm.alpha'"):
        grid_variants({"name": "omiga"}, [0], {"algorithm.alhpa": [1.0]})


def test_quoted_lists_stay_as_they_are() -> None:
    arguments = ["vectorize=true", "seeds=[0,1]", "algorithm.hidden_sizes=[8,8]"]
    assert comma_lists(arguments) == arguments

from __future__ import annotations

import pytest
import torch
from torchrl.data import LazyTensorStorage, SliceSampler, TensorDictReplayBuffer

from omiga_torchrl.algorithms import icq_networks, make_algorithm, make_icq
from omiga_torchrl.modules import LinearMixer, NormalizedMixer
from omiga_torchrl.testing import CONTINUOUS, DISCRETE
from omiga_torchrl.trainers import OfflineTrainer
from tests.objectives.icq_cases import one_agent


@pytest.mark.parametrize("interval", [1, 3])
def test_hard_targets_are_copied_at_the_interval(interval):
    parts = make_icq(CONTINUOUS, hidden_sizes=(8,), target_update_interval=interval)
    loss = parts.loss
    old = loss.target_qvalue_network_params.clone()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.add_(1.0)
    for step in range(1, interval + 1):
        parts.target_updater.step()
        moved = not (loss.target_qvalue_network_params == old).all()
        assert moved == (step == interval)
    assert (loss.target_qvalue_network_params == loss.qvalue_network_params.data).all()
    with pytest.raises(ValueError, match="target_update_interval is 0"):
        make_icq(CONTINUOUS, target_update_interval=0)


def test_networks_follow_team_variant_and_partition_estimate():
    assert icq_networks(one_agent(DISCRETE)).mixer is None
    assert isinstance(icq_networks(DISCRETE).mixer.module, LinearMixer)
    assert isinstance(icq_networks(DISCRETE, variant="official").mixer.module, NormalizedMixer)
    assert icq_networks(DISCRETE).behavior is None
    model = icq_networks(DISCRETE, partition_estimate="behavior").behavior
    assert ("agents", "action_mask") in model.in_keys


@pytest.mark.parametrize("options", [{}, {"partition_estimate": "behavior"}, {"variant": "official"}])
def test_trains_on_slices_of_episodes(options):
    """The way from the replay buffer to the loss: slices, then ``[-1, T]`` (not in a transform of the
    buffer, which could not write its sampler's entries to the reshaped batch)."""
    torch.manual_seed(0)
    steps = CONTINUOUS.fake_batch(60)
    steps["episode"] = torch.arange(60) // 12
    last = (torch.arange(60) % 12 == 11).unsqueeze(-1)
    steps["next", "done"], steps["next", "terminated"] = last, last.clone()
    sampler = SliceSampler(traj_key="episode", slice_len=4, cache_values=True, truncated_key=None)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(60), sampler=sampler, batch_size=16)
    buffer.extend(steps)
    parts = make_icq(
        CONTINUOUS, hidden_sizes=(8,), behavior_hidden_sizes=(8,), target_update_interval=2, **options
    )
    before = [parameter.clone() for parameter in parts.loss.parameters()]
    trainer = OfflineTrainer(
        **parts.trainer_arguments,
        replay_buffer=buffer,
        total_steps=3,
        progress_bar=False,
    )
    trainer.register_op("process_optim_batch", lambda batch: batch.reshape(-1, 4))
    trainer.train()
    after = list(parts.loss.parameters())
    assert all(not new.equal(old) for new, old in zip(after, before, strict=True))


def test_names_of_former_versions_are_translated():
    old = {"weighting": "behaviour", "actor_alpha": 0.3, "normalised_mixer": True, "max_log_weight": 5.0}
    with pytest.warns(DeprecationWarning, match="is called"):
        loss = make_icq(CONTINUOUS, hidden_sizes=(8,), behavior_hidden_sizes=(8,), **old).loss
    assert loss.partition_estimate == "behavior" and loss.max_exponent == 5.0
    assert loss.options.policy_temperature == 0.3 and loss.normalizes_mixer


def test_icq_behavior_is_icq_with_a_behavior_model():
    loss = make_algorithm("icq_behavior", CONTINUOUS, hidden_sizes=(8,)).loss
    assert loss.out_keys[:3] == ["loss_qvalue", "loss_actor", "loss_behavior"]

"""What `ICQLoss` makes of padding, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torchrl.data import LazyTensorStorage, SliceSampler, TensorDictReplayBuffer

from omiga_torchrl.algorithms import icq_networks
from omiga_torchrl.objectives import ICQLoss, ICQVariant
from omiga_torchrl.testing import CONTINUOUS, DISCRETE, gradients, losses_of, sequences
from tests.objectives.icq_cases import MODES, make_loss, ready, steady_behavior

# Masks -----------------------------------------------------------------------------------


@MODES
@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_padding_changes_nothing_whatever_it_holds(options, spec):
    """The same three episodes, by themselves and padded to a common length with NaN."""
    loss = ready(spec, reduction="sum", **options)
    data = sequences(spec, 3, time=6)
    mask = torch.ones(3, 6, dtype=torch.bool)
    for row, length in enumerate((6, 3, 4)):
        mask[row, length:] = False
        data["next", "done"][row, length - 1 :] = True
        data["next", "terminated"][row, length - 1] = row == 1
        data["next", "terminated"][row, length:] = False
    data["collector", "mask"] = mask
    expected = loss(data)
    sum(losses_of(expected).values()).backward()
    found = gradients(loss)
    loss.zero_grad()
    for name, value in data.items(True, True):
        if value.dtype.is_floating_point:
            value[~mask] = float("nan")
        elif name[-1] == "action":
            value[~mask] = 1
    out = loss(data)
    sum(losses_of(out).values()).backward()
    for key, value in out.items():
        torch.testing.assert_close(value, expected[key], msg=str(key))
    torch.testing.assert_close(gradients(loss), found)


def test_short_padded_sequences_equal_the_sequences_alone():
    loss, data = ready(critic_temperature=1e9, policy_temperature=1e9), sequences(CONTINUOUS, 4, time=6)
    mask = (torch.arange(6) < 3).expand(4, 6)
    data["collector", "mask"] = mask.clone()
    data["next", "done"][:, 2:] = True
    data["next", "terminated"][:] = False
    out, alone = loss(data), loss(data[:, :3].exclude("collector"))
    for key, value in alone.items():
        torch.testing.assert_close(out[key], value, msg=str(key))


def test_batches_of_the_slice_sampler_fit():
    """Short episodes, padded by TorchRL with copies of their last step and a mask."""
    steps = CONTINUOUS.fake_batch(30)
    steps["episode"] = torch.arange(30) // 3
    last = (torch.arange(30) % 3 == 2).unsqueeze(-1)
    steps["next", "done"], steps["next", "terminated"] = last, last.clone()
    steps["next", "truncated"] = torch.zeros_like(last)
    sampler = SliceSampler(traj_key="episode", slice_len=5, strict_length=False, pad_output=True)
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(30), sampler=sampler, batch_size=20)
    buffer.extend(steps)
    batch = buffer.sample().reshape(-1, 5)
    assert batch["collector", "mask"].sum() < 20
    loss = ready()
    out = loss(batch)
    assert all(value.isfinite().all() for value in out.values())
    with pytest.raises(ValueError, match="goes on after a step that is done"):
        loss(batch.exclude(("collector", "mask")))


# Bad input -------------------------------------------------------------------------------


def test_single_transitions_are_refused_and_the_sampler_is_named():
    with pytest.raises(ValueError, match=r"\(8,\); expected sequences .*SliceSampler.*slice_len"):
        ready()(CONTINUOUS.fake_batch(8))
    data = sequences(CONTINUOUS, 8, time=1)
    data["next", "terminated"][:] = False
    with pytest.raises(ValueError, match=r"at least 2 steps.* got \(8, 1\) without"):
        ready()(data)


def test_one_step_games_are_sequences_of_one_terminated_step():
    data = sequences(CONTINUOUS, 8, time=1)
    for terminated in (slice(None), slice(0, 4)):  # those that only ran out of time have no target
        data["next", "terminated"][:] = False
        data["next", "terminated"][terminated] = True
        out = ready()(data)
        assert all(value.isfinite().all() for value in out.values()) and out["critic_weight_max"] == 0


def test_reward_per_agent_is_refused():
    loss, data = ready(), sequences(CONTINUOUS, 8)
    data["next", "reward"] = torch.zeros(8, 4, 3)
    with pytest.raises(ValueError, match=r"reward.*shape \(8, 4, 3\).*\[\*batch, 1\].*per agent"):
        loss(data)


def test_missing_action_mask_of_a_masked_task_is_named():
    data = sequences(DISCRETE, 8)
    with pytest.raises(KeyError, match=r"action_mask.*is missing; found"):
        ready(DISCRETE)(data.exclude(("agents", "action_mask")))


def test_padding_without_a_mask_is_refused():
    data = sequences(CONTINUOUS, 8)
    data["next", "done"][3, 1:] = True
    with pytest.raises(ValueError, match=r"goes on after a step that is done.*\('collector', 'mask'\)"):
        ready()(data)
    data["collector", "mask"] = torch.ones(8, 4, dtype=torch.bool)
    data["collector", "mask"][3, 2:] = False
    ready()(data)


def test_the_released_mixer_is_linear():
    with pytest.raises(ValueError, match=r"mixer_network must be linear for normalized_mixer=True"):
        make_loss(CONTINUOUS, variant="official", mixer="qmix")


def test_choices_of_a_variant_are_checked():
    with pytest.raises(ValueError, match="did you mean 'td'"):
        ICQVariant(advantage="tdd")
    with pytest.raises(ValueError, match="num_behavior_samples is 0"):
        ICQVariant(num_behavior_samples=0)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"variant": "offical"}, "did you mean 'official'"),
        ({"partition_estimate": "bath"}, "did you mean 'batch'"),
        ({"policy_temperature": 0.0}, "policy_temperature is 0.0; expected a number > 0"),
        ({"critic_temperature": -1.0}, "critic_temperature is -1.0"),
        ({"td_lambda": 1.5}, r"td_lambda is 1.5; expected a number in \[0, 1\]"),
        ({"partition_estimate": "behavior", "variant": "official"}, "released multi-agent code has no other"),
        ({"partition_estimate": "behavior", "variant": ICQVariant(advantage="td")}, "must be 'qvalue'"),
    ],
)
def test_bad_arguments(options, match):
    with pytest.raises(ValueError, match=match):
        make_loss(CONTINUOUS, **options)


def test_a_behavior_model_goes_with_behavior_weights_and_no_others():
    networks = icq_networks(CONTINUOUS, hidden_sizes=(8,))
    with pytest.raises(
        ValueError, match=r"behavior_network must be a network .* got None\..*behavior_model\(spec\)"
    ):
        ICQLoss(*networks[:3], partition_estimate="behavior")
    with pytest.raises(ValueError, match=r"behavior_network must be None .* got a network"):
        ICQLoss(*networks[:3], behavior_network=steady_behavior(CONTINUOUS))

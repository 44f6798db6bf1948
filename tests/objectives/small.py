"""Losses whose networks repeat the batch, times one parameter each: every number can be read off the data."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import nn
from torch.distributions import Categorical

from omiga_torchrl import keys
from omiga_torchrl.modules import TanhGaussian
from omiga_torchrl.objectives import ForeachSoftUpdate
from omiga_torchrl.objectives.base import TeamLoss


class Scaled(nn.Module):
    """What ``compute`` gives, times a parameter that is one at first."""

    def __init__(self, compute):
        super().__init__()
        self.compute, self.scale = compute, nn.Parameter(torch.ones(()))

    def forward(self, *inputs):
        out = self.compute(*inputs)
        return tuple(self.scale * x for x in out) if isinstance(out, tuple) else self.scale * out


def network(compute, reads, *writes):
    return TensorDictModule(Scaled(compute), reads, list(writes))


def discrete_qvalue():
    """Q of action k is feature k of the observation; the second critic's is one more."""
    return network(lambda o: torch.stack([o, o + 1], -1), [keys.OBSERVATION], keys.LOCAL_QVALUE)


def continuous_qvalue():
    """The first feature of the observation plus twice the first of the action; the second's is one more."""

    def compute(observation, action):
        q = observation[..., :1] + 2 * action[..., :1]
        return torch.stack([q, q + 1], -1)

    return network(compute, [keys.OBSERVATION, keys.ACTION], keys.LOCAL_QVALUE)


def value():
    """The last feature of the observation."""
    return network(lambda o: o[..., -1:], [keys.OBSERVATION], keys.LOCAL_VALUE)


def linear_mixer():
    """Weights and, last, bias are the state."""
    return network(
        lambda s: (s[..., :-1].unsqueeze(-1), s[..., -1:]), [keys.STATE], keys.MIXER_WEIGHT, keys.MIXER_BIAS
    )


def monotonic_mixer():
    """``sum_i s_i x_i^2 / 2``, whose slopes are ``s_i x_i``."""

    def compute(local, state):
        return (state[..., :-1] * local.squeeze(-1).square() / 2).sum(-1, keepdim=True)

    return network(compute, [keys.LOCAL_QVALUE, keys.STATE], keys.GLOBAL_QVALUE)


def policy():
    """Logits are the observation."""
    logits = network(lambda o: o, [keys.OBSERVATION], ("agents", "logits"))
    choice = ProbabilisticTensorDictModule(
        in_keys={"logits": ("agents", "logits")}, out_keys=[keys.ACTION], distribution_class=Categorical
    )
    return ProbabilisticTensorDictSequential(logits, choice)


def gaussian_policy(kind=TanhGaussian, std=1.0):
    """One action feature, whose mean before it is brought into bounds is the observation's first."""
    names = [("agents", "loc"), ("agents", "scale")]
    loc = TensorDictModule(
        Scaled(lambda o: (o[..., :1], torch.full_like(o[..., :1], std))), [keys.OBSERVATION], names
    )
    choice = ProbabilisticTensorDictModule(
        in_keys={"loc": names[0], "scale": names[1]}, out_keys=[keys.ACTION], distribution_class=kind
    )
    return ProbabilisticTensorDictSequential(loc, choice)


class SmallLoss(TeamLoss):
    """Any networks, each with target parameters and read at the next step, too."""

    terms = ("qvalue",)

    def __init__(self, **arguments):
        networks = {name: arguments.pop(name) for name in [*arguments] if name.endswith("_network")}
        super().__init__(**arguments)
        for name, module in networks.items():
            self.add_network(name, module, target=True, at_next=True)
        if self.networks:
            ForeachSoftUpdate(self, tau=0.5)

    def qvalue_loss(self, data):
        batch = self.view(data)
        return batch.td_loss(batch.q_tot, batch.td_target(batch.next.target.v_tot))


def discrete(mixer=None, **arguments):
    """A loss of discrete actions, with a policy; without ``mixer`` every agent is its own team."""
    return SmallLoss(
        qvalue_network=discrete_qvalue(),
        value_network=value(),
        mixer_network=mixer,
        actor_network=policy(),
        **arguments,
    )


def continuous(mixer=None, **arguments):
    return SmallLoss(
        qvalue_network=continuous_qvalue(), value_network=value(), mixer_network=mixer, **arguments
    )


def set_scale(loss, name, scale):
    """Multiplies what a network, e.g. ``"target_value_network"``, gives."""
    for parameter in getattr(loss, f"{name}_params").values(True, True):
        parameter.data.fill_(scale)


def scale_gradients(loss):
    """Names of the networks whose parameter has a gradient that is not zero."""
    return {
        name
        for name in loss.networks
        for p in getattr(loss, f"{name}_params").parameters()
        if p.grad is not None and p.grad.any()
    }


def batch(
    observation, action, *, state=None, reward=None, following=None, next_state=None, ended=None, **more
):
    """A batch of these numbers; the next step is ten more, rewards are 0, nothing has ended.

    ``more`` has entries of agents; those of the next step begin with ``next_``.
    """
    observation = torch.as_tensor(observation)
    size = observation.shape[:-2]
    state = torch.zeros(*size, observation.shape[-2] + 1) if state is None else torch.as_tensor(state)
    none = torch.zeros(*size, 1)
    ended = none.bool() if ended is None else torch.as_tensor(ended).unsqueeze(-1)
    now = {name: torch.as_tensor(one) for name, one in more.items() if not name.startswith("next_")}
    later = {name[5:]: torch.as_tensor(one) for name, one in more.items() if name.startswith("next_")}
    return TensorDict(
        {
            "agents": {"observation": observation, "action": torch.as_tensor(action), **now},
            "state": state,
            "next": {
                "agents": {
                    "observation": observation + 10 if following is None else torch.as_tensor(following),
                    **later,
                },
                "state": state if next_state is None else torch.as_tensor(next_state),
                "reward": none if reward is None else torch.as_tensor(reward).unsqueeze(-1),
                "terminated": ended,
                "done": ended.clone(),
            },
        },
        size,
    )

"""Temporary: replaced by the branch `modules`."""
from collections.abc import Sequence
from typing import Any, get_args, Literal
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from omiga_torchrl import keys
from omiga_torchrl.errors import unknown_name
from omiga_torchrl.modules.mixers import LinearMixer, QMIXMixer, VDNMixer
from omiga_torchrl.modules.recurrent import agent_network
from omiga_torchrl.specs import TeamSpec


def qvalue_network(spec: TeamSpec, **network: Any) -> TensorDictModuleBase:
    size = spec.action_size
    outputs, extra = (size, {}) if spec.discrete else (1, {keys.ACTION: size})
    return agent_network(spec, outputs, keys.LOCAL_QVALUE, extra=extra, name="qvalue", **network)


def value_network(spec: TeamSpec, **network: Any) -> TensorDictModuleBase:
    return agent_network(spec, 1, keys.LOCAL_VALUE, name="value", **network)


def make_mixer(spec: TeamSpec, name: str, hidden: Sequence[int]) -> TensorDictModule | None:
    if name == "none" or (name == "auto" and spec.n_agents == 1):
        return None
    if spec.n_agents == 1:
        raise ValueError(
            f"make_mixer: mixer={name!r} with one agent; expected at least two. Use mixer='auto' or 'none'."
        )
    if name == "vdn":
        return VDNMixer(spec.n_agents).as_weight_module()
    if name == "qmix":
        return QMIXMixer(spec.n_agents, spec.state_size).as_value_module()
    return LinearMixer(spec.n_agents, spec.state_size, hidden=hidden).as_weight_module()

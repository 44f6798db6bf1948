"""Recording, export to each writable layout, reading, two steps of training, and evaluation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.data import Binary, Bounded, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from omiga_torchrl.data import LAYOUTS, OfflineDataset, record_dataset
from omiga_torchrl.errors import DataError
from omiga_torchrl.evaluation import evaluate
from tests.data.training import trained_policy

pytest.importorskip("tensorstore")
pytest.importorskip("h5py")

# Agents, observation features and actions of every group, and whether these are discrete.
KINDS = {
    "continuous": {"agents": (3, 4, 2, False)},
    "discrete": {"agents": (3, 4, 5, True)},
    "single": {"agents": (1, 4, 2, False)},
    "groups": {"cars": (2, 4, 2, False), "tower": (1, 3, 5, True)},
}
STEPS, ENVS = 5, 2
LAYOUT_NAMES = ("vault", "omiga-mujoco", "pymarl-npy")


class KindEnv(EnvBase):
    """Five steps of noise; the reward is the step's number. Agent 1 takes part in even steps only."""

    def __init__(self, kind: str, masked: bool) -> None:
        super().__init__(batch_size=[ENVS])
        n, self.kinds, self.masked = ENVS, KINDS[kind], masked
        self.group_map = {g: [f"{g}_{i}" for i in range(size[0])] for g, size in self.kinds.items()}
        seen, act = {}, {}
        for group, (agents, features, actions, discrete) in self.kinds.items():
            one = {"observation": Unbounded((n, agents, features))}
            if masked and agents > 1:
                one["agent_mask"] = Binary(agents, (n, agents), dtype=torch.bool)
            if masked and discrete:
                one["action_mask"] = Binary(actions, (n, agents, actions), dtype=torch.bool)
            seen[group] = Composite(**one, shape=(n,))
            action = Categorical(actions, (n, agents)) if discrete else Bounded(-1, 1, (n, agents, actions))
            act[group] = Composite(action=action, shape=(n,))
        self.observation_spec = Composite(**seen, state=Unbounded((n, 6)), shape=(n,))
        self.action_spec = Composite(**act, shape=(n,))
        self.reward_spec = Unbounded((n, 1))
        flags = {name: Binary(1, (n, 1), dtype=torch.bool) for name in ("done", "terminated", "truncated")}
        self.done_spec = Composite(**flags, shape=(n,))
        self.count = torch.zeros(n, 1)

    def _set_seed(self, seed: int | None) -> None:
        torch.manual_seed(seed or 0)

    def _out(self, **rest):
        n, out = ENVS, {"state": torch.randn(ENVS, 6)}
        for group, (agents, features, actions, discrete) in self.kinds.items():
            one = {"observation": torch.randn(n, agents, features)}
            if self.masked and agents > 1:
                present = torch.ones(n, agents, dtype=torch.bool)
                present[:, 1] = self.count[:, 0] % 2 == 0
                one["agent_mask"] = present
            if self.masked and discrete:
                one["action_mask"] = torch.arange(actions).expand(n, agents, actions) < actions - 1
            out[group] = TensorDict(one, [n])
        over = self.count >= STEPS
        return TensorDict({**out, "done": over, "truncated": over, "terminated": over & False, **rest}, [n])

    def _reset(self, tensordict=None, **kwargs):
        chosen = None if tensordict is None else tensordict.get("_reset", None)
        self.count = torch.zeros_like(self.count) if chosen is None else self.count.where(~chosen, 0.0)
        return self._out()

    def _step(self, tensordict):
        self.count = self.count + 1
        return self._out(reward=self.count.clone())


def require_trains_and_evaluates(dataset, kind, masked):
    policy = trained_policy(dataset)
    result = evaluate(policy, KindEnv(kind, masked), episodes=2, seed=0)
    assert float(result.returns.mean()) == sum(range(1, STEPS + 1))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_way(kind, masked, tmp_path, monkeypatch):
    monkeypatch.setenv("OMIGA_TORCHRL_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "recording"
    record_dataset(
        None, env_fn=partial(KindEnv, kind, masked), folder=folder, transitions=60, name="toy", seed=0
    )
    recorded = OfflineDataset(folder, batch_size=4)
    require_trains_and_evaluates(recorded, kind, masked)
    discrete = any(size[3] for size in KINDS[kind].values())
    for name in LAYOUT_NAMES:
        path = tmp_path / f"{name}.vlt"
        fits = {"vault": True, "omiga-mujoco": not discrete, "pymarl-npy": discrete}[name]
        counts = recorded.source.reading().n_actions
        if kind == "groups" or not fits:
            with pytest.raises(DataError, match=r"no place|expected floats|continuous"):
                LAYOUTS[name].write(path, recorded.blocks(), n_actions=counts)
            continue
        LAYOUTS[name].write(path, recorded.blocks(), n_actions=counts)
        options = {"timeout_is_terminal": False, "max_steps": STEPS} if name == "omiga-mujoco" else {}
        again = OfflineDataset(path, batch_size=4, **options)
        assert again.card.behaviour_return["mean"] == recorded.card.behaviour_return["mean"] == 15
        assert again.ends.share("timed out") == 1 and len(again.ends) == len(recorded.ends)
        for key in (("agents", "observation"), ("agents", "action"), ("agents", "agent_mask")):
            if key in recorded.data.keys(True):
                np.testing.assert_array_equal(again.data[key], recorded.data[key])
        require_trains_and_evaluates(again, kind, masked)

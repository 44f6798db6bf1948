"""Policies that act with the best of what a model of the behaviour policy proposes, as BCQ does."""

from __future__ import annotations

from tensordict import NestedKey, TensorDict, TensorDictBase
from tensordict.nn import (
    ProbabilisticTensorDictSequential,
    TensorDictModule,
    TensorDictModuleBase,
    TensorDictSequential,
)
from torch import Tensor, nn

from omiga_torchrl import keys
from omiga_torchrl.blueprints import rebuildable, remembering
from omiga_torchrl.deprecation import renamed_arguments
from omiga_torchrl.errors import require_count
from omiga_torchrl.flags import as_flag
from omiga_torchrl.functional import supported_actions
from omiga_torchrl.modules.behavior_models import ConditionalVAE
from omiga_torchrl.modules.greedy import greedy_policy


@rebuildable
class CandidatePolicy(TensorDictModuleBase):
    """The best of sampled actions, by each agent's own critic (BCQ, arXiv:1812.02900).

    Each agent draws candidates from the behaviour model, perturbs them, and takes the one with the
    largest Q_i of the first critic, independently of the others. Exploration types change nothing:
    the candidates are random, the choice is not. Their standard normal draws may be given, for programs
    without random numbers of their own: ``noise_keys`` beside the action, ``[*B, M, N, ...]``.

    Args:
        behavior_network: the model of the behaviour policy.
        qvalue_network: critics of observation and action, ``[*B, N, 1, E]``.
        perturbation_network: observation and action to a changed action; None changes nothing.

    Keyword Args:
        candidates: actions sampled for each agent; published 100.
        action: key of the action.
        local_qvalue: key that the critics write.

    Examples:
        >>> from omiga_torchrl.modules import perturbation_network, qvalue_ensemble
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(n_agents=3, observation_size=5, action_size=2, state_size=7)
        >>> critics, change = qvalue_ensemble(spec, 2), perturbation_network(spec, 0.05)
        >>> policy = CandidatePolicy(ConditionalVAE(spec), critics, change, candidates=10)
        >>> policy(spec.fake_batch(8).exclude(("agents", "action")))["agents", "action"].shape
        torch.Size([8, 3, 2])
    """

    @renamed_arguments(behaviour_network="behavior_network")
    @remembering
    def __init__(
        self,
        behavior_network: ConditionalVAE,
        qvalue_network: TensorDictModuleBase,
        perturbation_network: TensorDictModuleBase | None = None,
        *,
        candidates: int = 100,
        action: NestedKey = keys.ACTION,
        local_qvalue: NestedKey = keys.LOCAL_QVALUE,
    ) -> None:
        super().__init__()
        require_count("CandidatePolicy", 1, candidates=candidates)
        self.behavior_network = behavior_network
        self.qvalue_network = qvalue_network
        self.perturbation_network = perturbation_network
        self.candidates = candidates
        self.action, self.local_qvalue = action, local_qvalue
        networks = (behavior_network, qvalue_network, perturbation_network)
        read = dict.fromkeys(key for network in networks if network is not None for key in network.in_keys)
        self.in_keys = [key for key in read if key != action]
        self.out_keys = [action]
        self.noise_keys = [keys.sibling_key(action, "latent_noise")]
        if behavior_network.max_latent is None:
            self.noise_keys.append(keys.sibling_key(action, "action_noise"))

    def noise_shapes(self, n_agents: int) -> dict[NestedKey, tuple[int, int, int]]:
        """Shapes of the draws of candidates, without batch dimensions, by their keys.

        Args:
            n_agents: number of agents.
        """
        sizes = (self.behavior_network.latent_size, len(self.behavior_network.log_std))
        return {
            key: (self.candidates, n_agents, size) for key, size in zip(self.noise_keys, sizes, strict=False)
        }

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Write the chosen actions."""
        sampled_actions, value = self.candidates_and_values(tensordict)
        # As large as what is gathered: take_along_dim makes a program of one batch size when it is traced.
        best = value.argmax(0)[None, ..., None].expand(1, *sampled_actions.shape[1:])
        return tensordict.set(self.action, sampled_actions.gather(0, best).squeeze(0))

    def candidates_and_values(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """The actions that are compared `[M, *B, N, A]`, and their values by the first critic `[M, *B, N]`.

        Args:
            tensordict: what the policy reads, with the draws or without.
        """
        actions = self._candidates(tensordict)
        if self.perturbation_network is not None:
            actions = self._at(self.perturbation_network, tensordict, actions).get(self.action)
        return actions, self._at(self.qvalue_network, tensordict, actions).get(self.local_qvalue)[..., 0, 0]

    def _candidates(self, tensordict: TensorDictBase) -> Tensor:
        given = [tensordict.get(key, None) for key in self.noise_keys]
        if any(noise is None for noise in given):
            return self.behavior_network.get_dist(tensordict).sample((self.candidates,))
        latent, of_action = [noise.movedim(-3, 0) for noise in given] + [None] * (2 - len(given))
        observation = tensordict.get(self.behavior_network.in_keys[0])
        return self.behavior_network.sample(observation, self.candidates, (latent, of_action))

    def _at(
        self, network: TensorDictModuleBase, tensordict: TensorDictBase, sampled_actions: Tensor
    ) -> TensorDictBase:
        """Outputs of ``network`` for actions ``[M, *B, N, A]``; its memory makes one step only."""
        head = network
        if isinstance(network, TensorDictSequential):
            network[:-1](tensordict)
            head = network[-1]
        scratch = TensorDict({}, [])
        for key in head.in_keys:
            if key != self.action:
                value = tensordict.get(key)
                scratch.set(key, value.expand(len(sampled_actions), *value.shape))
        return head(scratch.set(self.action, sampled_actions))


class SupportedActions(nn.Module):
    """Which actions the data support, by a model of the behaviour policy (discrete BCQ, arXiv:1910.01708).

    Those whose probability is at least ``threshold`` times that of the most likely legal one.

    Args:
        threshold: in [0, 1].

    Shapes: logits ``[*B, N, K]``, action mask ``[*B, N, K]`` -> boolean ``[*B, N, K]``.

    Examples:
        >>> import torch
        >>> SupportedActions(0.3)(torch.tensor([[0.6, 0.3, 0.1]]).log())
        tensor([[ True,  True, False]])
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, logits: Tensor, action_mask: Tensor | None = None) -> Tensor:
        """Supported actions."""
        legal = None if action_mask is None else as_flag(action_mask)
        return supported_actions(logits, self.threshold, legal)


@renamed_arguments(behaviour_network="behavior_network")
@rebuildable
def supported_action_policy(
    qvalue_network: TensorDictModuleBase,
    behavior_network: ProbabilisticTensorDictSequential,
    *,
    threshold: float = 0.3,
    masked: bool = False,
    action: NestedKey = keys.ACTION,
    action_mask: NestedKey = keys.ACTION_MASK,
    supported: NestedKey = "supported_actions",
    local_qvalue: NestedKey = keys.LOCAL_QVALUE,
) -> TensorDictSequential:
    """:func:`omiga_torchrl.modules.greedy.greedy_policy` among the actions that the data support.

    Args:
        qvalue_network: critics of the observation, ``[*B, N, K, E]``; their minimum chooses.
        behavior_network: the model of the behaviour policy, e.g. a ``categorical_actor``.

    Keyword Args:
        threshold: see :class:`SupportedActions`.
        masked: whether the task gives an action mask.
        action: key written.
        action_mask: key of the mask.
        supported: key written, the supported actions ``[*B, N, K]``. A string is a name beside the
            action, a tuple a whole key.
        local_qvalue: key that the critics write.

    Examples:
        >>> from omiga_torchrl.modules import behavior_model, qvalue_ensemble
        >>> from omiga_torchrl.specs import TeamSpec
        >>> spec = TeamSpec(3, 5, 4, 7, discrete=True, masked=True)
        >>> policy = supported_action_policy(qvalue_ensemble(spec, 2), behavior_model(spec), masked=True)
        >>> policy(spec.fake_batch(8).exclude(("agents", "action")))["agents", "action"].shape
        torch.Size([8, 3])
    """
    logits = behavior_network[-1].in_keys[0]
    mask = [action_mask] if masked else []
    if isinstance(supported, str):
        supported = keys.sibling_key(action, supported)
    support = TensorDictModule(SupportedActions(threshold), in_keys=[logits, *mask], out_keys=[supported])
    greedy = greedy_policy(
        qvalue_network, masked=True, action=action, action_mask=supported, local_qvalue=local_qvalue
    )
    return TensorDictSequential(behavior_network.det_part, support, greedy)

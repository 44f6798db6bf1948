"""Names of former versions and what they are called now: the one table that all loaders read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

ARGUMENTS: Final[dict[str, str]] = {
    "behaviour_hidden": "behavior_hidden_sizes",
    "critics": "num_qvalue_nets",
    "hidden": "hidden_sizes",
    "latent_limit": "max_latent",
    "max_log_weight": "max_exponent",
    "max_scaled_advantage": "max_exponent",
    "mixer_hidden": "mixer_hidden_sizes",
    "overflow": "clip_mode",
    "recurrent": "rnn_hidden_size",
    "samples": "num_action_samples",
    "share_parameters": "share_params",
    "target_interval": "target_update_interval",
    "target_sample_size": "target_effective_sample_size",
}
"""Arguments of every algorithm: former name to present one."""

_ICQ: Final = {
    "actor_alpha": "policy_temperature",
    "behaviour_samples": "num_behavior_samples",
    "critic_alpha": "critic_temperature",
    "normalised_mixer": "normalized_mixer",
    "weighting": "partition_estimate",
}
OF_ALGORITHM: Final[dict[str, dict[str, str]]] = {
    "awr": {"standardise": "normalize_advantage"},
    "bcq": {
        "candidates": "num_candidates",
        "minimum_share": "lam",
        "restrict_acting": "act_within_support",
        "threshold": "support_threshold",
    },
    "brac_p": {"behaviour": "behavior_model", "warm_up": "warmup_steps"},
    "cql": {
        "importance": "importance_sampling",
        "policy": "actor_objective",
        "share_sharpness": "penalty_inverse_temperature",
    },
    "icq": _ICQ,
    "icq_behavior": _ICQ,
    "omac": {"beta": "temperature"},
    "omar": {
        "candidate_noise": "action_noise_std",
        "elites": "cem_num_elites",
        "iterations": "cem_iterations",
        "refine": "cem_refit",
        "search": "cem_update",
        "search_samples": "cem_num_samples",
        "search_std": "cem_init_std",
        "search_weight": "cem_weight",
    },
    "td3_bc": {"noise": "policy_noise"},
}
"""Arguments of one algorithm: former name to present one."""

VALUES: Final[dict[tuple[str, str], Callable[[Any], Any]]] = {
    ("cql", "policy"): lambda policy: {"maximise": "max_q", "weighted": "weighted_bc"}.get(policy, policy),
    ("icq", "weighting"): {"softmax": "batch", "behaviour": "behavior"}.get,
    # An inverse temperature of 0 was cloning without weights: no finite temperature is, but this one nearly.
    ("omac", "beta"): lambda beta: 1 / max(beta, 1e-12),
}
"""Values whose meaning or spelling changed with the name, by algorithm and former name."""

TRAINER: Final[dict[str, tuple[str, dict[Any, Any]]]] = {
    "cosine_decay": ("lr_schedule", {True: "cosine", False: None}),
}
"""Fields of the recipe's ``trainer``: former name to present one, and former values to present ones."""

ENTRIES: Final[dict[str, str]] = {
    "actor_alpha": "policy_temperature",
    "behaviour": "behavior",
    "critic_alpha": "critic_temperature",
    "critic_sample_size": "critic_effective_sample_size",
    "loss_normaliser": "loss_lagrange",
    "normaliser": "lagrange_multiplier",
    "overflow_share": "clip_fraction",
    "search_weight": "cem_weight",
    "shared_value": "state_value",
    "value_normaliser": "value_lagrange_multiplier",
}
"""Parts of the names of parameters, parameter groups and output entries, between dots and underscores."""

COEFFICIENTS: Final[dict[str, tuple[str, str]]] = {"beta": ("omac", "beta")}
"""Entries of a loss's state whose value changed with the name: the key of the argument in :data:`VALUES`."""

ADDED: Final = ("gamma", "lmbda")
"""Coefficients that former losses without critics did not have; they keep the present loss's value."""


def rename_arguments(algorithm: str, arguments: dict[str, Any], *, warn: bool = True) -> dict[str, Any]:
    """Keyword arguments of an algorithm under their present names.

    Args:
        algorithm: its name.
        arguments: the arguments, some perhaps under former names.

    Keyword Args:
        warn: warn of former names, which code should no longer use; files may.

    Examples:
        >>> rename_arguments("omac", {"beta": 2.0, "hidden": [8]}, warn=False)
        {'temperature': 0.5, 'hidden_sizes': [8]}
    """
    table = {**ARGUMENTS, **OF_ALGORITHM.get(algorithm, {})}
    out = {}
    for name, value in arguments.items():
        if warn and name in table:
            message = f"{algorithm}: the argument {name!r} is called {table[name]!r} now."
            warnings.warn(message, DeprecationWarning, stacklevel=4)
        translate = VALUES.get((algorithm, name))
        out[table.get(name, name)] = value if translate is None or value is None else translate(value)
    return out


def rename_entry(name: str) -> str:
    """A parameter's, group's or metric's present name.

    Args:
        name: e.g. a key of a loss's state_dict.

    Examples:
        >>> rename_entry("behaviour_network_params.module.0.weight")
        'behavior_network_params.module.0.weight'
        >>> rename_entry("loss_shared_value"), rename_entry("loss_normaliser")
        ('loss_state_value', 'loss_lagrange')
        >>> rename_entry("normaliser"), rename_entry("value_normaliser")
        ('lagrange_multiplier', 'value_lagrange_multiplier')
    """
    for old in sorted(ENTRIES, key=len, reverse=True):
        if old in name:
            return name.replace(old, ENTRIES[old])
    return name


def rename_entries(entries: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The entries of a file under the names of what they are loaded into.

    Only names that the other side does not know are translated, and only to names that it knows, so that a
    loss of your own may call its parts as it likes.

    Args:
        entries: name to value, e.g. a loss's state_dict.
        known: names on the other side.

    Examples:
        >>> rename_entries({"behaviour.weight": 1.0, "mine": 2.0}, ["behavior.weight", "bias"])
        {'behavior.weight': 1.0, 'mine': 2.0}
        >>> rename_entries({"beta": 2.0}, ["temperature"]), rename_entries({"beta": 2.0}, ["beta"])
        ({'temperature': 0.5}, {'beta': 2.0})
    """
    out = {}
    for name, value in entries.items():
        argument = COEFFICIENTS.get(name)
        new = rename_entry(name) if argument is None else OF_ALGORITHM[argument[0]][argument[1]]
        if name in known or new not in known:
            new = name
        elif argument is not None:
            value = VALUES[argument](value)
        out[new] = value
    return out


def rename_hyperparameters(sections: Mapping[str, Any]) -> dict[str, Any]:
    """A run's recorded hyper-parameters under their present names.

    Args:
        sections: as the recipe ``train.py`` records them; only ``algorithm`` and ``trainer`` had others.

    Examples:
        >>> rename_hyperparameters(
        ...     {"algorithm": {"name": "omac", "beta": 2.0}, "trainer": {"cosine_decay": True}}
        ... )
        {'algorithm': {'name': 'omac', 'temperature': 0.5}, 'trainer': {'lr_schedule': 'cosine'}}
    """
    out = dict(sections)
    algorithm, trainer = out.get("algorithm"), out.get("trainer")
    if isinstance(algorithm, Mapping) and "name" in algorithm:
        out["algorithm"] = rename_arguments(algorithm["name"], dict(algorithm), warn=False)
    if isinstance(trainer, Mapping):
        fields = dict(trainer)
        for name, (new, values) in TRAINER.items():
            former = fields.pop(name, None)  # None: not given
            if former is not None:
                fields[new] = values[former]
        out["trainer"] = fields
    return out

"""What the registry does not know of an algorithm: its place in the order, label, source, when to use it."""

from __future__ import annotations

from typing import NamedTuple


class Note(NamedTuple):
    """Facts of one algorithm.

    Attributes:
        title: its name in papers.
        source: where it was published.
        label: its row in the table of results.
        use: when to use it, and when not.
    """

    title: str
    source: str
    label: str
    use: str


NOTES = {
    "omiga": Note(
        "OMIGA",
        "Wang et al., NeurIPS 2023, [arXiv:2307.11620](https://arxiv.org/abs/2307.11620)",
        "OMIGA",
        "The first choice for teams with one reward. In-sample, cheap, steady on narrow and on mixed data; one "
        "number matters, `alpha` (see [temperatures](../concepts/temperatures.md)).",
    ),
    "icq": Note(
        "ICQ",
        "Yang et al., NeurIPS 2021, [arXiv:2106.03400](https://arxiv.org/abs/2106.03400)",
        "ICQ",
        "Close to OMIGA on most of our data, and better on Hopper medium-expert. It learns along sequences, so "
        "it fits recurrent agents and SMAC's padded episodes. States share one normalisation of the weights: keep "
        "`critic_temperature` far above the spread of Q.",
    ),
    "icq_behavior": Note(
        "ICQ with a behavior model",
        "Yang et al., NeurIPS 2021, [arXiv:2106.03400](https://arxiv.org/abs/2106.03400)",
        "ICQ, behaviour model",
        "Where values of states differ much, so that one normalisation for the batch favours good states over good "
        "actions. It costs a model of the behavior policy.",
    ),
    "iql": Note(
        "IQL (implicit)",
        "Kostrikov et al., ICLR 2022, [arXiv:2110.06169](https://arxiv.org/abs/2110.06169)",
        "IQL (implicit)",
        "The best mean over our four cells, and easy to tune. Not *independent* Q-learning, which much of the "
        "multi-agent literature calls IQL.",
    ),
    "omac": Note(
        "OMAC",
        "Wang and Zhan, AAMAS 2023",
        "OMAC",
        "To compare coupled value factorisation with a plain mixer. It is reconstructed from the abstract: do not "
        "report it as a reproduction.",
    ),
    "awac": Note(
        "AWAC",
        "Nair et al., 2020, [arXiv:2006.09359](https://arxiv.org/abs/2006.09359)",
        "AWAC",
        "Good on continuous tasks. Its target samples the policy's actions, so it is less safe on narrow data than "
        "OMIGA or IQL.",
    ),
    "awr": Note(
        "AWR",
        "Peng et al., 2019, [arXiv:1910.00177](https://arxiv.org/abs/1910.00177)",
        "AWR",
        "The simplest that uses rewards: returns of the data instead of a learned Q. It improves on the data's "
        "episodes but cannot stitch them together. Learns along sequences.",
    ),
    "comadice": Note(
        "ComaDICE",
        "Bui et al., ICLR 2025, [arXiv:2410.01954](https://arxiv.org/abs/2410.01954)",
        "ComaDICE",
        "To compare corrections of the stationary distribution with value learning. It needs `is_init`, which "
        "`OfflineDataset` gives, and an `alpha` that fits the unit of value.",
    ),
    "cql": Note(
        "CQL",
        "Kumar et al., NeurIPS 2020, [arXiv:2006.04779](https://arxiv.org/abs/2006.04779)",
        "CQL",
        "Strong with discrete actions, where its penalty is exact over the legal ones. With continuous actions it is "
        "slow (20 to 60 steps of cloning), and `cql_alpha` depends on the unit of value.",
    ),
    "cfcql": Note(
        "CFCQL",
        "Shao et al., NeurIPS 2023, [arXiv:2309.12696](https://arxiv.org/abs/2309.12696)",
        "CFCQL",
        "CQL for teams: every agent is penalised by itself, while the others keep the data's actions. For discrete "
        "actions and many agents.",
    ),
    "omar": Note(
        "OMAR",
        "Pan et al., ICML 2022, [arXiv:2111.11188](https://arxiv.org/abs/2111.11188)",
        "OMAR",
        "Where CQL's policy gets stuck in a bad optimum of Q, on low-dimensional continuous actions. Far below "
        "cloning on HalfCheetah, in the publication and here.",
    ),
    "bc": Note(
        "Behaviour cloning",
        "",
        "BC",
        "First, always. It shows what the data give without rewards, and is hard to beat on expert data.",
    ),
    "bcq": Note(
        "BCQ",
        "Fujimoto et al., ICML 2019, [arXiv:1812.02900](https://arxiv.org/abs/1812.02900); discrete: "
        "[arXiv:1910.01708](https://arxiv.org/abs/1910.01708)",
        "BCQ",
        "Discrete actions, where a threshold replaces the generative model. With continuous ones its search follows "
        "the critic's errors: keep few candidates.",
    ),
    "td3_bc": Note(
        "TD3+BC",
        "Fujimoto and Gu, NeurIPS 2021, [arXiv:2106.06860](https://arxiv.org/abs/2106.06860)",
        "TD3+BC",
        "A short and quick baseline for continuous actions with deterministic behaviour. Its squared error clones "
        "worse than a likelihood where the data come from several policies.",
    ),
    "matd3_bc": Note(
        "MATD3+BC",
        'Published as IDDPG+BC in "Dispelling the Mirage of Progress in Offline MARL", '
        "[arXiv:2406.09068](https://arxiv.org/abs/2406.09068)",
        "MATD3+BC",
        "The baseline that a new method for continuous actions should be compared with.",
    ),
    "rebrac": Note(
        "ReBRAC",
        "Tarasov et al., NeurIPS 2023, [arXiv:2305.09836](https://arxiv.org/abs/2305.09836)",
        "ReBRAC",
        "TD3+BC whose critic is held near the data, too. Two coefficients to tune. It learns along sequences.",
    ),
    "brac_p": Note(
        "BRAC-p",
        "Wu et al., 2019, [arXiv:1911.11361](https://arxiv.org/abs/1911.11361)",
        "BRAC-p",
        "Where a behavior model is wanted anyway; `target_divergence` tunes `alpha` by itself.",
    ),
}

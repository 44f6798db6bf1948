"""Every mode of `ICQLoss` is held to the contract."""

from __future__ import annotations

from tests.objectives.icq_cases import ICQContract, make_loss


class _Team(ICQContract):
    @classmethod
    def make(cls, spec, **kwargs):
        return make_loss(spec, **cls.options, **kwargs)


class TestTeam(_Team):
    pass


class TestTeamOfficial(_Team):
    options = {"variant": "official"}


class TestTeamBehaviour(_Team):
    options = {"partition_estimate": "behavior"}


class TestSingle(_Team):
    single = True


class TestSingleOfficial(_Team):
    single = True
    options = {"variant": "official"}


class TestSingleBehaviour(_Team):
    single = True
    options = {"partition_estimate": "behavior"}


class TestSingleBehaviourOfficial(_Team):
    single = True
    options = {"partition_estimate": "behavior", "variant": "official"}

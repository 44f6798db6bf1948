"""Every loss of OMIGA is held to the contract."""

from __future__ import annotations

from omiga_torchrl.objectives import OMIGALoss, OMIGAPolicyLoss, OMIGAQValueLoss, OMIGAValueLoss
from tests.objectives.contract import LossContract
from tests.objectives.omiga_cases import networks

VALUE = {"loss_value": {"value_network"}}
QVALUE = {"loss_qvalue": {"qvalue_network", "mixer_network"}}
ACTOR = {"loss_actor": {"actor_network"}}


class TestOMIGALoss(LossContract):
    trained = {**VALUE, **QVALUE, **ACTOR}

    @staticmethod
    def make(spec, **kwargs):
        return OMIGALoss(*networks(spec), alpha=0.5, **kwargs)


class TestOMIGALossOfficial(LossContract):
    trained = {**VALUE, **QVALUE, **ACTOR}

    @staticmethod
    def make(spec, **kwargs):
        return OMIGALoss(*networks(spec), alpha=0.5, variant="official", **kwargs)


class TestOMIGAValueLoss(LossContract):
    trained = VALUE

    @staticmethod
    def make(spec, **kwargs):
        return OMIGAValueLoss(*networks(spec)[1:], alpha=0.5, **kwargs)


class TestOMIGAQValueLoss(LossContract):
    trained = QVALUE

    @staticmethod
    def make(spec, **kwargs):
        return OMIGAQValueLoss(*networks(spec)[1:], **kwargs)


class TestOMIGAPolicyLoss(LossContract):
    trained = ACTOR

    @staticmethod
    def make(spec, **kwargs):
        return OMIGAPolicyLoss(*networks(spec), alpha=0.5, **kwargs)

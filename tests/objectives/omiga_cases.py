"""What the tests of OMIGA share: small networks and losses with a target updater."""

from __future__ import annotations

from omiga_torchrl.algorithms import omiga_networks
from omiga_torchrl.objectives import ForeachSoftUpdate, OMIGALoss
from tests.objectives.contract import CONTINUOUS


def networks(spec):
    return omiga_networks(spec, hidden_sizes=(8,), mixer_hidden_sizes=(8,))


def make_loss_of(nets):
    loss = OMIGALoss(*nets, alpha=0.5)
    ForeachSoftUpdate(loss, tau=0.5)
    return loss


def make(spec=CONTINUOUS, **kwargs):
    loss = OMIGALoss(*networks(spec), **{"alpha": 0.5, **kwargs})
    return loss, ForeachSoftUpdate(loss, tau=0.5)

"""What hooks ask of a trainer, and of an interval."""

from __future__ import annotations

import pytest

from omiga_torchrl.trainers.hooks.protocol import HookedTrainer, require_hooked, require_interval
from tests.trainers.hooks.test_evaluation import Told
from tests.trainers.toy import toy_trainer


def test_trainers_of_the_library_and_others_with_the_members_are_taken() -> None:
    for trainer in (Told(), toy_trainer(1)):
        assert require_hooked("Hook", trainer) is trainer and isinstance(trainer, HookedTrainer)


@pytest.mark.parametrize(
    "name", ["check_finite", "log_now", "show", "save", "register_module", "register_op"]
)
def test_every_member_is_needed(name: str) -> None:
    class Lacking(Told):
        pass

    setattr(Lacking, name, None)
    members = {
        key: value for key, value in vars(Told).items() if key not in (name, "__dict__", "__weakref__")
    }
    lacking = type("Lacking", (), members)()
    with pytest.raises(
        TypeError, match=r"Hook: trainer must have the members of HookedTrainer, got a Lacking"
    ):
        require_hooked("Hook", lacking)


def test_an_interval_is_at_least_one_step() -> None:
    require_interval("Hook", 1)
    for interval in (0, -3):
        with pytest.raises(ValueError, match=rf"Hook: interval must be at least 1, got {interval}"):
            require_interval("Hook", interval)

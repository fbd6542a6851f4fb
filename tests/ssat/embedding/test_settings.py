import hashlib
import json

import pytest

from ssat.embedding.settings import ScheduleSettings, TrainSettings
from ssat.errors import InputError
from ssat.setting_marks import Runtime, marked


def test_paper_preset_is_the_paper() -> None:
    settings = TrainSettings.build("paper")
    assert (settings.network.architecture, settings.data.crop, settings.data.short_side) == ("resnet50", 224, 256)
    schedule = settings.schedule
    assert (schedule.epochs, schedule.learning_rate, schedule.kind, schedule.step_epochs) == (16, 0.01, "step", 4)
    assert settings.data.frames_per_clip is None
    assert (settings.augmentation.flip, settings.augmentation.area_min, settings.data.early_epochs) == (False, None, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"crop": 300}, "crop 300 is larger than short_side 256"),
        ({"early_epochs": 2}, "early_epochs is set but early_crop is not"),
        ({"early_crop": 256, "short_side": 512}, "early_crop 256 is larger than crop 224"),
        ({"batch_size": 33}, "batch_size 33 does not divide by workers 2"),
        ({"batch_size": 4, "workers": 4}, "fewer than 2 images for each of 4 workers"),
        ({"aspect_min": 2.0}, "aspect_min 2.0 is above aspect_max 1.0"),
        ({"margin": 1.5}, "train.margin"),
        ({"architecture": "vgg"}, "train.architecture"),
        ({"learning_rat": 1}, r"train\.learning_rat: there is no such setting; did you mean learning_rate\?"),
        ({"data": {"corp": 32}}, r"train\.corp: there is no such setting; did you mean crop\?"),
        ({"schedule": "linear"}, r"train\.schedule: Input should be 'step' or 'cosine'"),
        ({"checkpoint_every": 0}, r"train\.checkpoint_every: .*\(given: 0\)"),
        ({"lanes": 3}, "batch_size 128 does not divide by lanes 3"),
    ],
)
def test_settings_that_cannot_be_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainSettings.build(None, values)


def test_flat_names_and_components_say_the_same() -> None:
    flat = {"schedule": "cosine", "warmup": 0.2, "head": "sharded", "crop": 96, "evaluate_every": 3, "seed": 7}
    nested = {
        "schedule": {"kind": "cosine", "warmup": 0.2},
        "head": {"placement": "sharded"},
        "data": {"crop": 96},
        "evaluation": {"every": 3},
        "seed": 7,
    }
    settings = TrainSettings.build("quick", flat)
    assert settings == TrainSettings.build("quick", nested)
    assert settings == TrainSettings.build("quick", {"schedule": "step", "seed": 1}, nested)
    assert (settings.schedule.kind, settings.schedule.learning_rate) == ("cosine", 0.1)
    dumped = settings.model_dump(mode="json")
    assert {name: dumped[name] for name in flat} == flat
    assert TrainSettings(**dumped) == TrainSettings.model_validate_json(settings.model_dump_json()) == settings
    assert set(TrainSettings.model_json_schema()["properties"]) == set(TrainSettings.fields())


def test_a_copy_takes_flat_names_and_components() -> None:
    settings = TrainSettings.build("quick")
    changed = settings.model_copy(update={"workers": 1, "epochs": 3, "seed": 2})
    assert (changed.execution.workers, changed.schedule.epochs, changed.seed) == (1, 3, 2)
    assert changed.schedule.learning_rate == settings.schedule.learning_rate
    assert settings.model_copy(update={"schedule": ScheduleSettings(epochs=5)}).schedule.epochs == 5
    with pytest.raises(TypeError, match="no setting epoch"):
        settings.model_copy(update={"epoch": 3})


# Of the flat model that came before: folders of trainings, checkpoints and recorded runs are found by it.
@pytest.mark.parametrize(
    ("preset", "values", "digest"),
    [
        ("paper", {}, "b37f18278701ff28"),
        ("quick", {"colours": False}, "f13693d848221bfd"),
        (
            "quick",
            {"colours": False, "seed": 3, "head": "sharded", "workers": 4, "ema": 0.99, "clips": 9},
            "3fcd79e19b282869",
        ),
    ],
)
def test_the_identity_of_earlier_trainings_stays(preset: str, values: dict[str, object], digest: str) -> None:
    identity = TrainSettings.build(preset, values).identity()
    assert hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16] == digest


def test_where_a_training_runs_is_no_part_of_its_identity() -> None:
    elsewhere = {"workers": 4, "device": "cpu", "checkpoint_every": 9, "evaluate_mot": "/mot", "loader_threads": 3}
    assert TrainSettings.build("quick", elsewhere).identity() == TrainSettings.build("quick").identity()
    assert not marked(TrainSettings, Runtime) & set(TrainSettings().identity())
    assert TrainSettings.build("quick", {"lanes": 8}).identity() != TrainSettings.build("quick").identity()

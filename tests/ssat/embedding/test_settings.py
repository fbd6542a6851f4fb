import pytest

from ssat.embedding.settings import TrainSettings
from ssat.errors import InputError


def test_paper_preset_is_the_paper() -> None:
    settings = TrainSettings.build("paper")
    assert (settings.architecture, settings.crop, settings.short_side) == ("resnet50", 224, 256)
    assert (settings.epochs, settings.learning_rate, settings.schedule, settings.step_epochs) == (16, 0.01, "step", 4)
    assert settings.frames_per_clip is None
    assert (settings.flip, settings.area_min, settings.early_epochs) == (False, None, 0)


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
        ({"learning_rat": 1}, "train.learning_rat"),
    ],
)
def test_settings_that_cannot_be_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        TrainSettings.build(None, values)

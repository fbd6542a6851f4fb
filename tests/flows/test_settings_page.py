from pathlib import Path

from flows.settings_page import models, settings_page


def test_the_page_is_what_the_models_say():
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text(encoding="utf-8") == settings_page(), "settings changed: run `make docs`"


def test_every_field_says_what_it_means_and_stands_on_the_page():
    page = settings_page()
    for model in models():
        assert f"## [{model.section}]" in page
        for name, field in model.fields().items():
            nested = hasattr(field.annotation, "model_fields")
            assert nested or field.description, f"{model.section}.{name} has no description"
            assert f"| `{name}" in page

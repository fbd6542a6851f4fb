from flows.cli.messages import with_options


def test_settings_are_named_as_options() -> None:
    said = with_options(
        "x.mp4: no boxes; use setting `detector_score` or setting `refinement.threshold` in setting x.y"
    )
    assert said == "x.mp4: no boxes; use --detector-score or --refinement-threshold in setting x.y"
    assert with_options("free space, or switch setting `video` off") == "free space, or use --no-video"

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssat.errors import InputError
from ssat.output_paths import is_same_path, refuse_inputs_as_outputs, refuse_source_in


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "street.mp4"
    path.write_bytes(b"a video")
    return path


@pytest.fixture
def case_insensitive(tmp_path: Path) -> Iterator[Path]:
    """A folder of a FAT file system, which ignores case; needs the right to mount."""
    image, folder = tmp_path / "fat.img", tmp_path / "fat"
    folder.mkdir()
    image.write_bytes(b"\0" * (2 << 20))
    for command in (["mkfs.vfat", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no file system that ignores case can be mounted here ({error})")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def _refuses(output: Path, given: Path) -> str:
    with pytest.raises(InputError) as caught:
        refuse_inputs_as_outputs([output.with_name("other"), output], [given], "name another folder with --output")
    assert "--overwrite" not in str(caught.value)
    return str(caught.value)


def test_the_same_file_by_any_path(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    symbolic, hard, folder = tmp_path / "symbolic.mp4", tmp_path / "hard.mp4", tmp_path / "linked"
    symbolic.symlink_to(video)
    hard.hardlink_to(video)
    folder.symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    for output in (
        video,
        Path("street.mp4"),
        tmp_path / "sub" / ".." / "street.mp4",
        symbolic,
        hard,
        folder / "street.mp4",
    ):
        message = _refuses(output, video)
        assert f"{output}: is an input of this command ({video})" in message
        assert "name another folder with --output" in message
        _refuses(video, output)


def test_other_files_pass(video: Path, tmp_path: Path) -> None:
    capital = tmp_path / "Street.mp4"
    outputs = [tmp_path / "street.txt", capital, tmp_path / "new" / "street.mp4"]
    refuse_inputs_as_outputs(outputs, [video, tmp_path / "not-there.txt"], "")
    if not capital.exists():  # a file system that tells case apart
        capital.write_bytes(b"another video")
        refuse_inputs_as_outputs(outputs, [video], "")


def test_case_where_the_file_system_ignores_it(case_insensitive: Path) -> None:
    video = case_insensitive / "street.mp4"
    video.write_bytes(b"a video")
    _refuses(case_insensitive / "STREET.MP4", video)
    refuse_inputs_as_outputs([case_insensitive / "STREET.TXT"], [video], "")


def test_case_where_inodes_do_not_tell(video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a network file system that ignores case and numbers its files anew at every look.
    capital = tmp_path / "STREET.mp4"
    monkeypatch.setattr(Path, "samefile", lambda self, other: False)
    real = Path.exists
    monkeypatch.setattr(Path, "exists", lambda self, **how: real(self.with_name(self.name.lower()), **how))
    assert is_same_path(capital, video)
    capital.write_bytes(b"listed under its own name: another file")
    assert not is_same_path(capital, video)


def test_a_folder_of_inputs_gets_no_files(video: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    assert "which is an input of this command" in _refuses(frames / "new.png", frames)
    assert "is an input of this command" in _refuses(frames, frames)
    refuse_inputs_as_outputs([frames / "tracks" / "frames.txt"], [frames], "")


def test_a_source_inside_the_folder_that_is_filled(tmp_path: Path) -> None:
    clips = tmp_path / "workspace" / "clips"
    (clips / "trimmed" / "00").mkdir(parents=True)
    linked = tmp_path / "linked"
    linked.symlink_to(clips / "trimmed")
    for source in (clips, clips / "trimmed" / "00", linked):
        with pytest.raises(InputError, match="where this command writes its own files"):
            refuse_source_in(clips, source)
    for source in (tmp_path, tmp_path / "list.csv", tmp_path / "workspace"):
        refuse_source_in(clips, source)

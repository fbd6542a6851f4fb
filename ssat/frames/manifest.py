"""The manifest of a frame store: its content, and the digest that identifies it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator

from ssat.errors import InputError
from ssat.file_names import MANIFEST
from ssat.frames.schema import SCHEMA_VERSION, STORE_VERSION
from ssat.remote import AnyPath
from ssat.workspace import committed

_SHA256 = r"^[0-9a-f]{64}$"


def canonical_json(value: Any) -> bytes:
    """Return the one spelling of a JSON value that digests are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


class _Record(BaseModel):
    # Files keep the names "rank", "first_rank" and "last_rank" of the class ids: digests depend on them.
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class ClipRecord(_Record):
    """Outcome of one clip: a row of clips.parquet without its shard. Sizes in pixels, duration in µs."""

    class_id: int = Field(ge=0, validation_alias=AliasChoices("class_id", "rank"), serialization_alias="rank")
    clip_id: str
    status: str = Field(pattern="^(ok|failed)$")
    reason: str = ""
    recoverable: bool = False  # failed because the file was not there or not whole: worth another try
    n_frames: int = Field(default=0, ge=0)
    n_decoded: int = Field(default=0, ge=0)
    width: int = 0
    height: int = 0
    duration_us: int = 0
    jpeg_bytes: int = 0
    source_sha256: str = ""


class ShardEntry(_Record):
    """One finished shard. `key` is a digest of all that its content follows from: settings and roster rows."""

    index: int = Field(ge=0)
    path: str
    key: str
    rows: int = Field(ge=0)
    row_groups: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=_SHA256)
    first_class_id: int = Field(
        ge=0, validation_alias=AliasChoices("first_class_id", "first_rank"), serialization_alias="first_rank"
    )
    last_class_id: int = Field(
        ge=0, validation_alias=AliasChoices("last_class_id", "last_rank"), serialization_alias="last_rank"
    )
    tools: dict[str, str] = {}

    @field_validator("path")
    @classmethod
    def _plain_name(cls, path: str) -> str:
        # A manifest is untrusted: its paths must not leave the store's folder.
        if Path(path).name != path or path.startswith(".") or "\\" in path:
            raise ValueError("expected the name of a file in the store's folder")
        return path


class Manifest(_Record):
    """Written last: a store without it is unfinished, and what it does not name is not part of the store."""

    store_version: int = STORE_VERSION
    schema_version: int = SCHEMA_VERSION
    settings: dict[str, int | None]
    encoder: dict[str, str | int]
    roster_digest: str
    n_clips: int = Field(ge=0)
    n_frames: int = Field(ge=0)
    clips_sha256: str = Field(pattern=_SHA256)
    shards: tuple[ShardEntry, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON: names the data set, in records and in checkpoints."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()

    @property
    def outdated(self) -> str:
        """Problem of a store of an earlier version, and the remedy, in one line; empty if there is none."""
        if self.schema_version >= 2:
            return ""
        return (
            f"schema version {self.schema_version}, before colours were carried: frames of BT.709, BT.2020, "
            "full-range, RGB and 4:4:4 video are up to 9 of 255 off on average. The store stays readable. To renew it, "
            "collect the clips again into a new workspace (clips that were encoded before have lost matrix and range), "
            "then run `ssat decode` there"
        )

    def save(self, folder: AnyPath) -> None:
        """Commit to `folder`/manifest.json, with the digest in it."""
        content = {**self.model_dump(mode="json"), "digest": self.digest}
        with committed(folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: AnyPath) -> Self:
        """Read and check `folder`/manifest.json.

        Raises:
            InputError: missing, damaged, changed since it was written, or written by a newer version.
        """
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(f"{path}: no frame store here; run `ssat decode` first") from error
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: damaged ({error}); run `ssat decode` to write it again") from error
        if not isinstance(content, dict):
            raise InputError(f"{path}: expected a JSON object; run `ssat decode` to write it again")
        _refuse_newer(path, content)
        stated = content.pop("digest", None)
        try:
            manifest = cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{path}: field {field}: {first['msg']}; run `ssat decode` to write it again") from error
        if stated != manifest.digest:
            raise InputError(
                f"{path}: digest {stated} does not fit the content (expected {manifest.digest}): the manifest was "
                "changed after it was written; run `ssat decode` to write it again"
            )
        return manifest


def refuse_newer_store(folder: AnyPath) -> None:
    """Raise InputError if a later version of this project wrote the store in `folder`: it is not to be replaced."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # none, or one that is written again
    if isinstance(content, dict):
        _refuse_newer(path, content)


def _refuse_newer(path: AnyPath, content: Mapping[str, Any]) -> None:
    for name, known in (("store_version", STORE_VERSION), ("schema_version", SCHEMA_VERSION)):
        found = content.get(name)
        if isinstance(found, int) and found > known:
            raise InputError(
                f"{path}: {name} {found} is newer than this ssat knows ({known}); upgrade ssat, or decode into "
                "another workspace"
            )


def shard_key(settings: dict[str, int | None], rows: Sequence[dict[str, Any]]) -> str:
    """Return the key of a shard: digest of settings and of class id, clip id and content of its clips."""
    clips = [[row["rank"], row["clip_id"], row["sha256"]] for row in rows]
    return hashlib.sha256(canonical_json([STORE_VERSION, SCHEMA_VERSION, settings, clips])).hexdigest()[:16]

"""The schema of a frame store: columns, versions, names and Parquet options."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

STORE_VERSION = 1
# 1: re-encoded clips lost matrix and range, so frames of BT.709, BT.2020, full-range, RGB and 4:4:4 video are 4 to 9 of
# 255 off on average. 2: clips carry matrix and range, and all pixel formats are stored in their colours. The columns
# are the same.
SCHEMA_VERSION = 2

CLIPS_NAME = "clips.parquet"

ROW_GROUP_ROWS = 256
MAX_FRAME_INDEX = 2**15 - 1  # frame_index is an int16

# One row per frame. class_id is that of the clip in the roster (column rank); frame_index counts the frames of the clip
# from 0, stored or not; pts_us is the presentation time in microseconds from the clip's first frame; width and height
# are those of the stored JPEG in pixels.
FRAME_SCHEMA = pa.schema(
    [
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("clip_id", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("frame_index", pa.int16(), nullable=False),
        pa.field("pts_us", pa.int64(), nullable=False),
        pa.field("width", pa.int16(), nullable=False),
        pa.field("height", pa.int16(), nullable=False),
        pa.field("jpeg", pa.binary(), nullable=False),
    ]
)

# One row per clip of the roster, whether its frames are in the store (status "ok") or not ("failed", with a reason).
CLIPS_SCHEMA = pa.schema(
    [
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("n_frames", pa.int32(), nullable=False),  # frames stored
        pa.field("n_decoded", pa.int32(), nullable=False),  # frames decoded, stored or not
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("duration_us", pa.int64(), nullable=False),
        pa.field("jpeg_bytes", pa.int64(), nullable=False),
        pa.field("source_sha256", pa.string(), nullable=False),
    ]
)


def frame_writer_options() -> dict[str, Any]:
    """Return the options of `pyarrow.parquet.ParquetWriter` for a shard.

    JPEG does not compress, repeats nothing and has no order: compression, dictionary and statistics would cost time
    and say nothing. Page checksums let `ssat verify` and readers find flipped bits.
    """
    return {
        "compression": "none",
        "use_dictionary": ["clip_id"],
        "write_statistics": [name for name in FRAME_SCHEMA.names if name != "jpeg"],
        "write_page_checksum": True,
        "version": "2.6",
        "data_page_version": "1.0",
    }

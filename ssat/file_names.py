"""Names of files and folders that several parts read or write, in workspaces and in MOTChallenge sequences."""

from __future__ import annotations

# In a workspace.
ROSTER = "clips/roster.parquet"
TRIMMED = "trimmed"
MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints"
EMBEDDER_FILE = "embedder.safetensors"
TRAINING_RESULT = "result.json"
BENCHMARK_RESULT = "benchmark.json"
STUDY_RESULT = "study.json"
REPORT_FILE = "report.html"
SUBMISSION_FILE = "submission.zip"

# In the folder of a sequence.
SEQUENCE_INFO = "seqinfo.ini"
LABELS = "gt/gt.txt"
DETECTIONS = "det/det.txt"

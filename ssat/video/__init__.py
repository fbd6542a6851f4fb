"""Video in and out: untrusted files, image folders, streams and cameras; annotated mp4."""

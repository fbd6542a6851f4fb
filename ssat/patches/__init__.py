"""Followed patches: boxes that optical flow follows through a clip, each a class of its own, and views of them."""

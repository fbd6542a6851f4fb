"""From frames to tracks: detect, embed, associate, write."""

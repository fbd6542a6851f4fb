"""Online association of detections with tracks by appearance and box."""

"""What so many clips would take: figures with their sources, the arithmetic, and measuring on this machine."""

"""What people look at: tables, plots, annotated video, HTML."""

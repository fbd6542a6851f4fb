"""Read results and show them: tables, plots, pictures, HTML pages."""

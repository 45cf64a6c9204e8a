"""What QEMUs do in the background: block jobs, dumps, migrations."""

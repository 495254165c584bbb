"""The command line. To add a command: one file here, and its line in `app.py`."""

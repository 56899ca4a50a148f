"""The HTTP server and the process tree of `manage.py serve`."""

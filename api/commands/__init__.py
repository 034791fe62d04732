"""Groups of `roadcode` commands, a file each; `api/cli.py` hangs them in."""

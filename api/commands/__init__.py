"""What commands of `roadcode` do that is more than one call. `api/cli.py` registers them."""

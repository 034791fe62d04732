"""The researcher's bench: training, the benchmark, and the score on real recordings. Nothing at run time needs it."""

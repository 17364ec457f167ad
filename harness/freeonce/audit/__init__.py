"""Records to findings to a verdict. Pure functions: no machine, no file."""

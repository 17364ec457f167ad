"""`make bench`: what freeonce costs, measured in one run, side by side."""

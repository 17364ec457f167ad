"""freeonce for users' tests: the pytest plugin, and guests whose runs are judged."""

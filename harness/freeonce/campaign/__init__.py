"""Many runs, on this machine or on others: a plan, its tasks, a store of what they came to."""

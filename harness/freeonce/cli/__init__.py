"""The command line: one small file a verb. Parses, calls, prints."""

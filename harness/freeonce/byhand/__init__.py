"""A guest by hand: shell, console, debugger, core, and how others find it."""

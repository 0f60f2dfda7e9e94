"""Tools that know nothing of the competition: console, files, settings, hardware."""

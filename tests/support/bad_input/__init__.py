"""Bad input at every door: what is handed over, and what is to be said about it."""

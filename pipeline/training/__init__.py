"""Many networks, side by side, none of them trained twice."""

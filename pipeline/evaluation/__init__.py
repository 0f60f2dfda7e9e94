"""What predictions are worth: scores, blends, findings and pictures."""

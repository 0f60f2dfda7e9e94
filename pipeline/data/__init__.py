"""The rows: the files they come from, the arrays they become, and which of them do what."""

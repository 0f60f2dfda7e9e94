"""What a person does with runs: start one, try a change, compare, take one, go back."""

"""MLflow: what is logged, how it is sent, and the models in the registry."""

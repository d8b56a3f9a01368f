"""From desired deployments to running models: the reconcile loop and what it deploys with."""

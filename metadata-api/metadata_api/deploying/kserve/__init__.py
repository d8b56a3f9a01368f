"""Deployments on Kubernetes with KServe; `deployer` puts the parts together."""

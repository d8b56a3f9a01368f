"""What the deployer for Kubernetes is made of; `metadata_api.deploy_kserve` puts it together."""

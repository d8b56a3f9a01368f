"""Who sends a request and what they may do: credentials, roles and the layer that asks for them."""

"""What people say is right, what that says of versions, and decisions by it."""

"""What the store holds: the ledger of its objects, their collection, their check and their repair."""

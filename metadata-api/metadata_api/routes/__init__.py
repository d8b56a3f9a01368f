"""HTTP only: each module parses a request, calls one function and shapes its answer."""

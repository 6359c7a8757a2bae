"""Sample legacy databases, generated deterministically at any size."""

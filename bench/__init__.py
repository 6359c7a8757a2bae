"""The benchmark: this server against the bare MongoDB call it cannot do without, on one machine in one run."""

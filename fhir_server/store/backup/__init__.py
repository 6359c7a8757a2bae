"""Backups: everything of a store or of a tenant as it was at one moment, in files that only the key opens.

`creating.create` writes one, `verifying.verify` reads one without a store, `restoring.restore` brings it back.
"""

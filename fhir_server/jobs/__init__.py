"""Long work that any worker may run or resume: export, import, sync, reindex. Its first tenant is still to come.

A job is leased from the database, so that a killed worker's job is taken up by another.
"""

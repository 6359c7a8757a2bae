"""Long work that any worker may run or resume: reindex, batches answered later. Export, import and sync will be more.

A job is leased from the database (`store.jobs`), so that a killed worker's job is taken up by another. `worker` runs
what is waiting; what a kind of job does is a function that goes on from the job's cursor.
"""

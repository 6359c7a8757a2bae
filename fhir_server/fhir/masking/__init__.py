"""Masking: copies of resources that identify nobody, for test environments.

`masked(resource, project)` goes through a resource beside its definitions; `rules.yaml` says what becomes of which type
and element. What no rule keeps is dropped, so a new kind of text leaks nothing. By 45 CFR §164.514(b)(2), Safe Harbor.
"""

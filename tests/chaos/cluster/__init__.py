"""The soak of a cluster: several nodes under load and faults, with one check of all that was seen.

``python -m tests.chaos.cluster --minutes 10`` says what happened as a table and ends with code 1
when anything was lost, doubled, wrong, stuck or left behind.
"""

"""The soak: a real ``jobx serve`` under load and faults, and one check of all that was seen.

``python -m tests.chaos.soak --minutes 60`` says what happened as a table and ends with code 1 when
anything was lost, doubled, wrong, stuck or left behind.
"""

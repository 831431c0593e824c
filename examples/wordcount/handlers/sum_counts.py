"""
Add up the counts of each word; called once a word.

It serves two steps: first it sums what the mapper of one file returned, then the sums of all files.

**
handler_type: reducer
"""


def handler(key, values):
    yield key, sum(values)

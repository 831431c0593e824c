"""Everything that leaves a node: results, mail, HTTP calls, notifications."""

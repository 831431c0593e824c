"""The pool of executor processes: started, given work, watched, replaced."""
